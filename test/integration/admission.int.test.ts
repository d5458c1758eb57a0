import type { Redis } from 'ioredis';
import { admissionContract } from '../contract/admission.contract';
import { CONTRACT_LEASE_MS } from '../contract/admission-item';
import { decodeOrder, encodeOrder } from '../../engine/orders/order-record';
import { parseEvents } from '../../engine/stock/stored-entry';
import { endLeases } from '../support/end-leases';
import { makeOld } from '../support/old-entry';
import type { Sale } from '../../engine/orders/sale';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let underTest: RedisStock;
let redis: Redis;

beforeAll(() => {
  underTest = openRedisStock(CONTRACT_LEASE_MS);
  redis = underTest.redis;
});

afterAll(() => redis.quit());

admissionContract('Redis', () => underTest);

describe('the claim of a request', () => {
  test('is idempotency:<request_id> with fingerprint and item, and lives ten minutes', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    const key = `idempotency:${attempt.requestId}`;
    expect(await redis.get(key)).toBe(`${attempt.fingerprint}|${attempt.itemId}`);
    expect(await redis.pttl(key)).toBeGreaterThan(590_000);
    expect(await redis.pttl(key)).toBeLessThanOrEqual(600_000);
  });

  test('lives as long as the accepted order, even if it had been dropped', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    await redis.del(`idempotency:${attempt.requestId}`);
    await underTest.admission.queue([attempt]);
    expect(await redis.pttl(`idempotency:${attempt.requestId}`)).toBeGreaterThan(3_590_000);
  });

  test('of another request stays when an order is accepted beside it', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    await redis.set(`idempotency:${attempt.requestId}`, 'another|1', 'PX', 5_000);
    await underTest.admission.queue([attempt]);
    expect(await redis.get(`idempotency:${attempt.requestId}`)).toBe('another|1');
  });

  test('that is not a string is an error for this request alone', async () => {
    const attempts = [1, 2].map(() => anAttempt(aPurchase({ itemId: anItem() })));
    for (const { itemId } of attempts) await underTest.setFree(itemId, 1);
    await redis.lpush(`idempotency:${attempts[0]?.requestId}`, 'not a claim');
    const [broken, other] = await underTest.admission.claimAndHold(attempts);
    expect(messageOf(broken)).toContain('WRONGTYPE');
    expect(other).toMatchObject({ claim: 'new', hold: { kind: 'held' } });
  });
});

test('a limit is final once what its buyer has is sold, and nothing of the item is in checkout', async () => {
  const itemId = anItem();
  await underTest.setFree(itemId, 5);
  await underTest.setSale(itemId, { unitsPerUser: 1 });
  const holdFor = async (userId: string) => {
    const attempt = anAttempt(aPurchase({ itemId, userId }));
    const [verdict] = await underTest.admission.claimAndHold([attempt]);
    return { attempt, hold: verdict instanceof Error ? undefined : verdict?.hold };
  };
  const { attempt } = await holdFor('ann');
  await underTest.admission.queue([attempt]);
  expect((await holdFor('ann')).hold).toMatchObject({ kind: 'limit', owned: 1, final: false });
  await underTest.ledger.reserve(anOrder(attempt), 10);
  expect((await holdFor('ann')).hold).toMatchObject({ final: false });
  const sale = { ...anOrder(attempt), generation: 1, fence: 11, paymentId: 'p' };
  await underTest.ledger.confirm(sale);
  expect((await holdFor('ann')).hold).toMatchObject({ kind: 'limit', owned: 1, final: true });
  // Of another buyer: the ledger does not keep the states of a buyer's units apart.
  await holdFor('bob');
  expect((await holdFor('ann')).hold).toMatchObject({ final: false });
});

describe('a hold that is older than order ids', () => {
  test.each<Sale>([{}, { payWithinMs: 600_000 }])(
    'is taken over and queued without one, and not under another, in the sale %j',
    async (sale) => {
      const attempt = anAttempt(aPurchase({ itemId: anItem() }));
      await underTest.setFree(attempt.itemId, 1);
      await underTest.setSale(attempt.itemId, sale);
      await underTest.admission.claimAndHold([attempt]);
      await makeOld(redis, attempt);
      await endLeases(redis, attempt.itemId);
      const later = anAttempt(attempt);
      const [verdict] = await underTest.admission.claimAndHold([later]);
      expect(verdict).toMatchObject({
        claim: 'same',
        hold: { kind: 'held', orderId: undefined, ...sale },
      });
      expect(await underTest.admission.queue([later])).toEqual([false]);
      expect(await underTest.admission.queue([anOrder(aPurchase(attempt))])).toEqual([true]);
    },
  );
});

describe('a stock key written by hand', () => {
  test.each(['abc', '-5', '1.5', '1e3', '99999999999999999999'])(
    'holding %p is an error that changes nothing, not a sale',
    async (value) => {
      const attempt = anAttempt(aPurchase({ itemId: anItem() }));
      await redis.set(`inventory:${attempt.itemId}`, value);
      const [verdict] = await underTest.admission.claimAndHold([attempt]);
      expect(messageOf(verdict)).toContain('BADSTOCK');
      expect(await redis.get(`inventory:${attempt.itemId}`)).toBe(value);
      expect(await redis.exists(`{inventory:${attempt.itemId}}:orders`)).toBe(0);
      expect(await redis.exists(`idempotency:${attempt.requestId}`)).toBe(0);
    },
  );
});

describe('a sale written by hand', () => {
  const BAD_SALES: [string, Record<string, string>][] = [
    ['a mistyped price', { price: '9,99' }],
    ['a price of nothing', { price: '0' }],
    ['a price that no record may hold', { price: '9007199254741' }],
    ['a price of 20 digits', { price: '99999999999999999999' }],
    ['a currency in small letters', { currency: 'usd' }],
    ['a currency of four letters', { currency: 'EURO' }],
    ['a negative limit', { units_per_user: '-1' }],
    ['an opening that is no time', { opens_at: 'tomorrow' }],
    ['an opening of 20 digits', { opens_at: '99999999999999999999' }],
    ['a time to pay that is none', { pay_within: '10m' }],
    ['less time to pay than a buyer needs', { pay_within: '4999' }],
    ['more time to pay than a provider remembers', { pay_within: '43200001' }],
    ['a window that ends before it starts', { opens_at: '2000', closes_at: '1000' }],
    ['a window without length', { opens_at: '2000', closes_at: '2000' }],
  ];

  test.each(BAD_SALES)('with %s is an error that changes nothing', async (_, sale) => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await redis.hset(`{inventory:${attempt.itemId}}:sale`, sale);
    const [verdict] = await underTest.admission.claimAndHold([attempt]);
    expect(messageOf(verdict)).toContain('BADSALE');
    expect(await redis.get(`inventory:${attempt.itemId}`)).toBe('1');
    expect(await redis.exists(`{inventory:${attempt.itemId}}:orders`)).toBe(0);
    expect(await redis.exists(`idempotency:${attempt.requestId}`)).toBe(0);
  });

  test('does not affect other items in the same round trip', async () => {
    const bad = anAttempt(aPurchase({ itemId: anItem() }));
    const good = anAttempt(aPurchase({ itemId: anItem() }));
    for (const { itemId } of [bad, good]) await underTest.setFree(itemId, 1);
    await redis.hset(`{inventory:${bad.itemId}}:sale`, { price: '99999999999999999999' });
    const verdicts = await underTest.admission.claimAndHold([bad, good]);
    expect(verdicts[0]).toBeInstanceOf(Error);
    expect(verdicts[1]).toMatchObject({ claim: 'new', hold: { kind: 'held' } });
  });

  test('does not hide existing orders of the item in the same round trip', async () => {
    const accepted = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(accepted.itemId, 2);
    await underTest.admission.claimAndHold([accepted]);
    await underTest.admission.queue([accepted]);
    await redis.hset(`{inventory:${accepted.itemId}}:sale`, { price: '0' });
    const other = anAttempt(aPurchase({ itemId: accepted.itemId }));
    const verdicts = await underTest.admission.claimAndHold([other, accepted]);
    expect(messageOf(verdicts[0])).toContain('BADSALE');
    expect(verdicts[1]).toMatchObject({ claim: 'same', hold: { kind: 'exists' } });
    expect(await redis.exists(`idempotency:${other.requestId}`)).toBe(0);
  });

  test('leaves the claim of an accepted order', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await underTest.setFree(attempt.itemId, 1);
    await underTest.admission.claimAndHold([attempt]);
    await underTest.admission.queue([attempt]);
    await redis.del(`{inventory:${attempt.itemId}}:orders`);
    await redis.hset(`{inventory:${attempt.itemId}}:sale`, { price: '0' });
    const [verdict] = await underTest.admission.claimAndHold([attempt]);
    expect(messageOf(verdict)).toContain('BADSALE');
    expect(await redis.exists(`idempotency:${attempt.requestId}`)).toBe(1);
  });

  test('is an error when the item is read', async () => {
    const itemId = anItem();
    await underTest.setFree(itemId, 1);
    const saleKey = `{inventory:${itemId}}:sale`;
    for (const field of ['opens_at', 'pay_within']) {
      await redis.del(saleKey);
      await redis.hset(saleKey, { [field]: 'tomorrow' });
      await expect(underTest.ledger.item(itemId)).rejects.toThrow('BADSALE');
    }
  });

  test('at the highest price makes a record that can be read', async () => {
    const purchase = aPurchase({ itemId: anItem(), amount: 1_000 });
    await underTest.setFree(purchase.itemId, 1_000);
    await redis.hset(`{inventory:${purchase.itemId}}:sale`, { price: '9007199254740' });
    const [verdict] = await underTest.admission.claimAndHold([anAttempt(purchase)]);
    if (!verdict || verdict instanceof Error || verdict.hold.kind !== 'held') {
      throw new Error(`not held: ${JSON.stringify(verdict)}`);
    }
    const record = encodeOrder({ ...anOrder(purchase), ...verdict.hold });
    expect(decodeOrder(record)).toMatchObject({ kind: 'order' });
  });
});

/** The message of an element that came as an error; anything else has none. */
function messageOf(verdict: unknown): string {
  return verdict instanceof Error ? verdict.message : '';
}

test('the events of an item keep about the last hundred thousand', async () => {
  const attempt = anAttempt(aPurchase({ itemId: anItem() }));
  await underTest.setFree(attempt.itemId, 1);
  const events = `{inventory:${attempt.itemId}}:events`;
  const add = "redis.call('XADD', KEYS[1], '*', 'state', 'old')";
  await redis.eval(`for _ = 1, 100500 do ${add} end`, 1, events);
  await underTest.admission.claimAndHold([attempt]);
  // Redis trims whole nodes of its stream, a hundred entries each.
  expect(await redis.xlen(events)).toBeLessThanOrEqual(100_100);
  expect(await redis.xlen(events)).toBeGreaterThanOrEqual(100_000);
  const [last] = await redis.xrevrange(events, '+', '-', 'COUNT', 1);
  const [held] = parseEvents(last?.[1] ?? []);
  expect(held?.order?.requestId).toBe(attempt.requestId);
});
