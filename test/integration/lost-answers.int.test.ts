import { pino } from 'pino';
import { loadRedisAccess } from '../../platform/config';
import { connectFailFastRedis } from '../../platform/redis';
import { createAdmission } from '../../engine/stock/admission';
import { createStockLedger } from '../../engine/stock/stock-ledger';
import type { Purchase } from '../../engine/orders/order';
import { buy, openGateway, PURCHASE, type OpenGateway } from '../api/open-gateway';
import { redisAddr } from '../support/addresses';
import { openResponseGate, type ResponseGate } from '../support/response-gate';
import { eventually } from '../support/eventually';
import { anItem, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

/** Long beside a round trip, short enough to wait for. */
const LEASE_MS = 1_500;
const SUPPLY = 2;

/** Past the gate, to see what took effect. */
let behind: RedisStock;
let gate: ResponseGate;
let open: OpenGateway;
const closing: (() => unknown)[] = [];

beforeAll(() => {
  behind = openRedisStock();
});
afterAll(() => behind.redis.quit());

beforeEach(async () => {
  gate = await openResponseGate(redisAddr().replace('redis://', ''));
  const redis = connectFailFastRedis(
    loadRedisAccess({ REDIS_ADDR: gate.address }),
    pino({ level: 'silent' }),
  );
  const options = {
    claimTtlMs: 60_000,
    orderRetentionMs: 60_000,
    holdLeaseMs: LEASE_MS,
    defaultPrice: { priceMinor: 1000, currency: 'USD' },
  };
  const admission = createAdmission(redis, options);
  open = await openGateway({ change: () => ({ admission, ledger: createStockLedger(redis) }) });
  closing.push(
    () => open.close(),
    () => {
      redis.disconnect();
    },
    () => gate.close(),
  );
  await eventually('the door has its Redis', () => redis.ping());
  // Its first use asks whether Redis knows the scripts; what is held back below is to be the answer of a script.
  expect((await buyAs(await aPurchaseOfTwo())).status).toBe(202);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function aPurchaseOfTwo(): Promise<Purchase> {
  const purchase = aPurchase({ itemId: anItem() });
  await behind.setFree(purchase.itemId, SUPPLY);
  return purchase;
}

const buyAs = ({ userId, itemId, amount, requestId }: Purchase) =>
  buy(open, {
    ...PURCHASE,
    user_id: userId,
    item_id: itemId,
    amount,
    request_id: requestId,
  });
const recordsOf = ({ requestId }: Purchase) =>
  open.publisher.records.filter(({ key }) => key === requestId).length;
const stateOf = async ({ requestId }: Purchase) =>
  (await behind.ledger.findOrder(requestId))?.entry.state;

/** Repeats the request, as its buyer would, until it is neither in doubt nor in progress. */
const insist = (purchase: Purchase) =>
  eventually('the request is decided', async () => {
    const reply = await buyAs(purchase);
    const type = reply.body['type'];
    return reply.status !== 503 && type !== '/problems/request-in-progress' && reply;
  });

describe('a connection to Redis that breaks before the answer', () => {
  test('to claim and hold: nothing is accepted, and the same request takes over its hold', async () => {
    const purchase = await aPurchaseOfTwo();
    gate.hold();
    const lost = buyAs(purchase);
    await eventually('the hold', async () => (await stateOf(purchase)) === 'held');
    gate.cut();
    const { status, body, headers } = await lost;
    expect([status, body['type']]).toEqual([503, '/problems/not-accepted']);
    expect(headers.get('retry-after')).not.toBeNull();
    expect(recordsOf(purchase)).toBe(0);

    expect(await insist(purchase)).toMatchObject({ status: 202 });
    expect(recordsOf(purchase)).toBe(1);
    expect(await behind.countsOf(purchase.itemId)).toMatchObject({ free: 1, held: 0, queued: 1 });
  });

  test('to queue: the outcome is unknown, and the same request gets its order', async () => {
    const purchase = await aPurchaseOfTwo();
    open.publisher.next = 'wait';
    const lost = buyAs(purchase);
    await eventually('the record', () => Promise.resolve(recordsOf(purchase) === 1));
    gate.hold();
    open.publisher.acknowledge();
    await eventually('the order is queued', async () => (await stateOf(purchase)) === 'queued');
    gate.cut();
    const { status, body } = await lost;
    expect([status, body['type']]).toEqual([503, '/problems/outcome-unknown']);

    const again = await insist(purchase);
    expect(again.body).toMatchObject({
      type: '/problems/duplicate-request',
      order: { status: 'queued' },
    });
    expect(recordsOf(purchase)).toBe(1);
    expect(await behind.countsOf(purchase.itemId)).toMatchObject({ free: 1, held: 0, queued: 1 });
  });
});

describe('a gateway that crashes', () => {
  test('between claim and hold and the append leaves a hold that the same request takes over', async () => {
    const purchase = await aPurchaseOfTwo();
    open.publisher.next = 'wait';
    // No acknowledgement comes: what this attempt leaves is its claim and its hold.
    const dead = buyAs(purchase);
    await eventually('the hold', async () => (await stateOf(purchase)) === 'held');
    open.publisher.next = 'acknowledge';
    const waiting = await buyAs(purchase);
    expect(waiting.body['type']).toBe('/problems/request-in-progress');
    expect(await insist(purchase)).toMatchObject({ status: 202 });
    open.publisher.acknowledge();
    await dead;
    expect(await behind.countsOf(purchase.itemId)).toMatchObject({ free: 1, held: 0, queued: 1 });
  });
});
