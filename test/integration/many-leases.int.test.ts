import type { ItemId } from '../../engine/orders/order';
import { endLeases } from '../support/end-leases';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

/** A gateway has died with many holds: their leases are over, and nobody has reclaimed them. */
let stock: RedisStock;
let itemId: ItemId;
beforeAll(() => {
  stock = openRedisStock();
});
beforeEach(() => {
  itemId = anItem();
});
afterAll(() => stock.redis.quit());

/** Leases that end together are in the order of their request_ids: zoe's comes last. */
const attemptOf = (userId: string) =>
  anAttempt(aPurchase({ itemId, userId, requestId: `${userId}-${itemId}` }));

async function lapsed(users: readonly string[]): Promise<void> {
  await stock.setFree(itemId, users.length);
  const attempts = users.map(attemptOf);
  const verdicts = await stock.admission.claimAndHold(attempts);
  expect(verdicts.filter((verdict) => !(verdict instanceof Error))).toHaveLength(users.length);
  await endLeases(stock.redis, itemId);
}
const users = (count: number) => Array.from({ length: count }, (_, i) => `dead-${i}`);
const hold = async (userId: string, amount: number) => {
  const attempt = anAttempt(aPurchase({ itemId, userId, amount }));
  const [verdict] = await stock.admission.claimAndHold([attempt]);
  return verdict;
};

test('a purchase of more units than leases are reclaimed at a time is not sold out', async () => {
  await lapsed(users(65));
  expect(await hold('ann', 60)).toMatchObject({ hold: { kind: 'held' } });
  expect(await stock.countsOf(itemId)).toMatchObject({ free: 0, held: 65, supply: 65 });
});

test('nor is the order of a record that has no hold', async () => {
  await lapsed(users(65));
  const order = anOrder(aPurchase({ itemId, amount: 60 }));
  expect(await stock.ledger.reserve(order, Date.now())).toMatchObject({ kind: 'reserved' });
});

test('a user whose dead attempt lies behind those of many others has not reached the limit', async () => {
  await lapsed([...users(100), 'zoe']);
  await stock.setSale(itemId, { unitsPerUser: 1 });
  expect(await hold('zoe', 1)).toMatchObject({ hold: { kind: 'held' } });
});

test('with more dead attempts than one call reclaims, the user is asked to come again and is not refused', async () => {
  await lapsedBeforeZoe();
  expect(await hold('zoe', 1)).toBeInstanceOf(Error);
  expect(await hold('zoe', 1)).toMatchObject({ hold: { kind: 'held' } });
});

test('and the order of a record that has no hold is tried again, instead of holding up Redis', async () => {
  await lapsedBeforeZoe();
  const order = anOrder(aPurchase({ itemId, userId: 'zoe' }));
  const reserve = () => stock.ledger.reserve(order, Date.now());
  await expect(reserve()).rejects.toThrow('RECLAIMING');
  const { free, held } = await stock.countsOf(itemId);
  expect([free, held]).toEqual([1_000, 101]);
  expect(await reserve()).toMatchObject({ kind: 'reserved' });
});

/** More dead attempts than one call reclaims, the last of them of a user who may have one unit. */
async function lapsedBeforeZoe(): Promise<void> {
  await lapsed([...users(900), 'zoe']);
  await stock.redis.set(`inventory:${itemId}`, 200);
  await stock.admission.claimAndHold(users(200).map((name) => attemptOf(`also-${name}`)));
  await endLeases(stock.redis, itemId);
  await stock.setSale(itemId, { unitsPerUser: 1 });
}
