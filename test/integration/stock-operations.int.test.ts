import type { ItemId } from '../../engine/orders/order';
import type { SaleChange } from '../../engine/stock/stock-operations';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
let itemId: ItemId;
beforeAll(() => {
  stock = openRedisStock();
});
beforeEach(() => {
  itemId = anItem();
});
afterAll(() => stock.redis.quit());

const add = (units: number, operationId = `add-${units}`) =>
  stock.operations.restock({ itemId, operationId, units: { add: units }, by: 'ann' });
const setFree = (free: number, operationId = `set-${free}`) =>
  stock.operations.restock({ itemId, operationId, units: { free }, by: 'ann' });
const change = (sale: SaleChange, force = false) =>
  stock.operations.changeSale(itemId, sale, { by: 'ann', force });
const hold = async (userId: string, amount = 1) => {
  await stock.open(itemId);
  const attempt = anAttempt(aPurchase({ itemId, userId, amount }));
  const [verdict] = await stock.admission.claimAndHold([attempt]);
  return verdict;
};
const counts = () => stock.countsOf(itemId);
/** Everything Redis holds of the item but the remembered operations, to compare before and after. */
const everything = async () => {
  const { redis } = stock;
  const key = (name: string) => `{inventory:${itemId}}:${name}`;
  const hashes = ['orders', 'counts', 'buyers', 'sale', 'operations'];
  return JSON.stringify([
    await redis.get(`inventory:${itemId}`),
    ...(await Promise.all(hashes.map((name) => redis.hgetall(key(name))))),
    await redis.xrange(key('events'), '-', '+'),
  ]);
};
const lastEvent = async () => {
  const [[, fields] = ['', []]] = await stock.redis.xrevrange(
    ...([`{inventory:${itemId}}:events`, '+', '-', 'COUNT', 1] as const),
  );
  const names = fields.filter((_, index) => index % 2 === 0);
  return Object.fromEntries(names.map((name, index) => [name, fields[2 * index + 1]]));
};

describe('a restock', () => {
  test('puts an unknown item on sale', async () => {
    expect(await add(3)).toEqual({
      kind: 'restocked',
      before: 0,
      after: 3,
      supply: 3,
      isNewItem: true,
      wasDoneBefore: false,
    });
    expect(await counts()).toMatchObject({ free: 3, supply: 3 });
  });

  test('adds units to the free units and the supply while orders are under way, and records the operator', async () => {
    await add(2);
    await hold('u1');
    expect(await add(5)).toMatchObject({ before: 1, after: 6, isNewItem: false });
    expect(await counts()).toMatchObject({ free: 6, held: 1, supply: 7 });
    expect(await lastEvent()).toEqual({
      state: 'adjusted',
      units: '5',
      free: '6',
      supply: '7',
      by: 'ann',
      operation: 'add-5',
    });
  });

  test('that is sent twice has one effect and the same result, whatever was sold in between', async () => {
    const first = await add(5, 'op');
    await hold('u1');
    expect(await add(5, 'op')).toEqual({ ...first, wasDoneBefore: true });
    expect(await counts()).toMatchObject({ free: 4, supply: 5 });
  });

  test('has one effect when many send it at once', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => add(5, 'op')));
    const done = all.filter((one) => one.kind === 'restocked' && !one.wasDoneBefore);
    expect([done.length, await counts()]).toMatchObject([1, { free: 5, supply: 5 }]);
  });

  test('under the id of another restock is refused, and changes nothing', async () => {
    await add(5, 'op');
    const before = await everything();
    expect([await add(6, 'op'), await setFree(5, 'op')]).toEqual([
      ...[{ kind: 'operation-reused' }, { kind: 'operation-reused' }],
    ]);
    expect(await everything()).toBe(before);
  });

  test('that sets the free units moves the supply by the difference, up or down', async () => {
    await add(10);
    await hold('u1', 4);
    expect(await setFree(2)).toMatchObject({ kind: 'restocked', before: 6, after: 2 });
    expect(await counts()).toMatchObject({ free: 2, held: 4, supply: 6 });
    expect(await setFree(0)).toMatchObject({ before: 2, after: 0 });
  });

  test('adopts a change from outside, as every script does', async () => {
    await add(10);
    await stock.redis.set(`inventory:${itemId}`, 50);
    expect(await add(1)).toMatchObject({ before: 50, after: 51 });
    expect(await counts()).toMatchObject({ free: 51, supply: 51 });
  });

  test.each(['abc', '-1', '1.5', ''])('cannot add to "%s", and changes nothing', async (raw) => {
    await add(10);
    await stock.redis.set(`inventory:${itemId}`, raw);
    const before = await everything();
    expect(await add(1)).toEqual({
      kind: 'unreadable',
      detail: `inventory:${itemId} must be a whole number of units, not ${raw}`,
    });
    expect(await everything()).toBe(before);
  });

  test('mends a key that is not a number when it sets the free units', async () => {
    await add(10);
    await hold('u1', 4);
    await stock.redis.set(`inventory:${itemId}`, 'abc');
    expect(await setFree(7)).toMatchObject({ kind: 'restocked', before: 6, after: 7 });
    expect(await counts()).toMatchObject({ free: 7, held: 4, supply: 11 });
    expect((await hold('u2')) instanceof Error).toBe(false);
  });

  test('that was decided on a stale number is refused with the real one, and changes nothing', async () => {
    await add(100);
    await hold('u1', 27);
    const before = await everything();
    const stale = { itemId, operationId: 'op', units: { free: 100 }, expectedFree: 100, by: 'ann' };
    expect(await stock.operations.restock(stale)).toEqual({ kind: 'stale', free: 73 });
    expect(await everything()).toBe(before);
    const fresh = { ...stale, expectedFree: 73 };
    const done = { kind: 'restocked', before: 73, after: 100, supply: 127 };
    expect(await stock.operations.restock(fresh)).toMatchObject(done);
    // A lost answer is asked for again with the same number.
    expect(await stock.operations.restock(fresh)).toMatchObject({ ...done, wasDoneBefore: true });
  });

  test('without a number that was seen, the result and the event say what became of the supply', async () => {
    await add(100);
    await hold('u1', 27);
    expect(await setFree(100)).toMatchObject({ before: 73, after: 100, supply: 127 });
    expect(await lastEvent()).toMatchObject({ units: '27', free: '100', supply: '127', by: 'ann' });
    await stock.redis.set(`inventory:${itemId}`, 5);
    await hold('u2', 6);
    expect(await lastEvent()).toEqual({ state: 'adjusted', units: '-95', free: '5', supply: '32' });
  });

  test('that expects a number is refused for a key that is none', async () => {
    await add(10);
    await stock.redis.set(`inventory:${itemId}`, 'abc');
    const restock = { itemId, operationId: 'op', units: { free: 5 }, expectedFree: 10, by: 'ann' };
    expect(await stock.operations.restock(restock)).toMatchObject({ kind: 'unreadable' });
  });

  test('refuses more units than can be counted', async () => {
    await stock.redis.set(`inventory:${itemId}`, '999999999999999');
    expect(await add(1)).toEqual({ kind: 'too-many' });
  });
});

describe('a change of the sale', () => {
  beforeEach(() => add(10));

  test('changes the given fields, removes those that are null, and leaves the rest', async () => {
    expect(await change({ priceMinor: 250, currency: 'EUR', unitsPerUser: 2 })).toEqual({
      kind: 'changed',
      before: {},
      after: { price: '250', currency: 'EUR', units_per_user: '2' },
    });
    expect(await change({ unitsPerUser: null, opensAt: 1000 })).toEqual({
      kind: 'changed',
      before: { price: '250', currency: 'EUR', units_per_user: '2' },
      after: { price: '250', currency: 'EUR', opens_at: '1000' },
    });
    expect((await stock.ledger.item(itemId))?.sale).toEqual({
      priceMinor: 250,
      currency: 'EUR',
      opensAt: 1000,
    });
    expect(await lastEvent()).toEqual({
      state: 'sale',
      free: '10',
      supply: '10',
      by: 'ann',
      units_per_user: '-',
      opens_at: '1000',
    });
  });

  test('to buyers who pay themselves, and back', async () => {
    expect(await change({ payWithinMs: 600_000 })).toMatchObject({
      after: { pay_within: '600000' },
    });
    expect((await stock.ledger.item(itemId))?.sale).toEqual({ payWithinMs: 600_000 });
    expect(await lastEvent()).toMatchObject({ state: 'sale', pay_within: '600000' });
    expect(await change({ payWithinMs: null })).toMatchObject({ after: {} });
  });

  test('leaves the price of an order that was admitted before, and the time to pay it', async () => {
    await stock.open(itemId);
    await change({ priceMinor: 250, currency: 'EUR', payWithinMs: 600_000 });
    const attempt = anAttempt(aPurchase({ itemId }));
    await stock.admission.claimAndHold([attempt]);
    await change({ priceMinor: 999, payWithinMs: null });
    await stock.admission.queue([attempt]);
    const found = await stock.ledger.findOrder(attempt.requestId);
    expect(found?.entry).toMatchObject({ priceMinor: 250, currency: 'EUR', payWithinMs: 600_000 });
  });

  test.each([
    ['ends before it starts', { opensAt: 2000, closesAt: 1000 }],
    ['ends as it starts', { opensAt: 2000, closesAt: 2000 }],
    ['would end before the start that stands', { closesAt: 1500 }],
    ['would start after the end that stands', { opensAt: 5000 }],
  ])('whose window %s is refused, and changes nothing', async (_name, window) => {
    await change({ opensAt: 1800, closesAt: 4000 });
    const before = await everything();
    expect(await change({ priceMinor: 7, ...window })).toMatchObject({ kind: 'window' });
    expect(await everything()).toBe(before);
  });

  test('to a limit below what users own is refused among so many that they are read page by page', async () => {
    const many = Array.from({ length: 6_000 }, (_, i) => [`u${String(i)}`, i === 4_321 ? 3 : 1]);
    await stock.redis.hset(`{inventory:${itemId}}:buyers`, ...many.flat());
    expect(await change({ unitsPerUser: 2 })).toEqual({ kind: 'units-owned', users: 1, most: 3 });
    expect(await change({ unitsPerUser: 3 })).toMatchObject({ kind: 'changed' });
    expect(await stock.redis.hget(`{inventory:${itemId}}:sale`, 'units_per_user')).toBe('3');
  });

  test('to a limit below what users own is refused with the number of users, unless it is forced', async () => {
    for (const [user, units] of Object.entries({ ann: 3, bob: 2, eve: 1 })) await hold(user, units);
    const before = await everything();
    expect(await change({ unitsPerUser: 1 })).toEqual({ kind: 'units-owned', users: 2, most: 3 });
    expect(await everything()).toBe(before);
    expect(await change({ unitsPerUser: 3 })).toMatchObject({ kind: 'changed' });
    expect(await change({ unitsPerUser: 1 }, true)).toMatchObject({ kind: 'changed' });
    expect(await hold('bob')).toMatchObject({ hold: { kind: 'limit', unitsPerUser: 1, owned: 2 } });
    // A later change that leaves the limit alone does not ask again.
    expect(await change({ priceMinor: 5 })).toMatchObject({ kind: 'changed' });
  });

  test('that was decided on a stale number of free units is refused with the real one, and changes nothing', async () => {
    const before = await everything();
    const at = (expectedFree: number) =>
      stock.operations.changeSale(itemId, { priceMinor: 250 }, { by: 'ann', expectedFree });
    expect(await at(9)).toEqual({ kind: 'stale', free: 10 });
    expect(await everything()).toBe(before);
    expect(await at(10)).toMatchObject({ kind: 'changed' });
  });

  test('of an unknown item is refused, and leaves no key behind', async () => {
    itemId = anItem();
    expect(await change({ priceMinor: 250 })).toEqual({ kind: 'unknown-item' });
    expect(await stock.redis.keys(`*${itemId}*`)).toEqual([]);
  });

  test('reports a mistyped field, and mends it when the field is given', async () => {
    await stock.redis.hset(`{inventory:${itemId}}:sale`, 'opens_at', 'tomorrow');
    expect(await change({ closesAt: 9000 })).toEqual({
      kind: 'unreadable',
      detail: `{inventory:${itemId}}:sale opens_at must be a whole number, not tomorrow`,
    });
    expect(await change({ opensAt: 1000, closesAt: 9000 })).toMatchObject({ kind: 'changed' });
  });
});
