/**
 * What becomes of an admission that was cut short, forgotten or overtaken: a gateway on the real Redis, whose records are
 * read from a fake log and handed to ingest, and the saga on the real Temporal.
 */
import { createLogger } from '../../platform/logger';
import { paymentKey, type Order, type Purchase } from '../../engine/orders/order';
import { createOrderStarter } from '../../ingest/start-orders';
import { decodeOrder } from '../../engine/orders/order-record';
import { createClaimKeeper } from '../../engine/stock/claims';
import { claimKey } from '../../engine/stock/keys';
import { createKeptClaims } from '../../ingest/kept-claims';
import { buy, openGateway, reply, until, type OpenGateway } from '../api/open-gateway';
import { createTestIngest, recordOf } from '../ingest/fakes';
import { endLeases } from '../support/end-leases';
import { openGatewayOnRedis } from '../support/gateway-on-redis';
import { anItem, aPurchase } from '../support/purchases';
import type { RedisStock } from '../support/redis-stock';
import { aSignal, useSaga } from '../support/saga';

const saga = useSaga();
const { money } = saga;
let stock: RedisStock;
let open: OpenGateway;
let close: () => Promise<void>;
beforeAll(async () => {
  ({ stock, open, close } = await openGatewayOnRedis());
});
afterAll(() => close());

const SUPPLY = 3;
const ORDER_RETENTION_MS = 3_600_000;

async function aPurchaseOnSale(amount = 1): Promise<Purchase> {
  const purchase = aPurchase({ itemId: anItem(), amount });
  await stock.setFree(purchase.itemId, SUPPLY);
  return purchase;
}

function buyAs({ userId, itemId, amount, requestId }: Purchase) {
  return buy(open, { user_id: userId, item_id: itemId, amount, request_id: requestId });
}

/** What the log has under a request_id, oldest first, as ingest reads it. */
const recordsOf = ({ requestId }: Purchase, log = open.publisher) =>
  log.records.filter(({ key }) => key === requestId).map(({ value }) => recordOf(value));

/** Under which the first generation of a record's order is charged. */
function keyOf([record]: ReturnType<typeof recordsOf>): string {
  const decoded = decodeOrder(record?.value ?? null);
  if (decoded.kind === 'invalid') throw new Error(decoded.problem);
  return paymentKey(decoded.order.requestId, decoded.order.orderId, 1);
}

/** Hands records to an ingest, and answers what it has done with each. */
async function ingest(...records: ReturnType<typeof recordsOf>) {
  const starter = createOrderStarter(saga.client, saga.taskQueue, { eager: true });
  const logger = createLogger('test', 'silent');
  const claims = createKeptClaims(createClaimKeeper(stock.redis, ORDER_RETENTION_MS, logger));
  const { ledger } = stock;
  const { handle, outcomes, letters } = createTestIngest({ starter, ledger, claims });
  await handle(...records);
  await claims.flush();
  return { outcomes, letters };
}

const resultOf = ({ requestId }: Purchase) =>
  saga.handleOf({ requestId } as Order).result() as Promise<unknown>;

/** A gateway that has held the units and appended the record, and dies before it queues them and answers. */
async function dieBeforeQueue(purchase: Purchase): Promise<ReturnType<typeof recordsOf>> {
  const dead = aSignal();
  const queue: RedisStock['admission']['queue'] = async (orders) => {
    await dead.given;
    return orders.map(() => false);
  };
  const dying = await openGateway({
    change: () => ({ admission: { ...stock.admission, queue }, ledger: stock.ledger }),
  });
  const { userId, itemId, amount, requestId } = purchase;
  const unanswered = buy(dying, {
    user_id: userId,
    item_id: itemId,
    amount,
    request_id: requestId,
  }).catch(() => 'the connection broke');
  await until(() => dying.publisher.records.length > 0);
  await dying.close();
  // Nobody is left to be told anything: this only ends what the process's death would have ended.
  dead.give();
  await expect(unanswered).resolves.toBe('the connection broke');
  return recordsOf(purchase, dying.publisher);
}

/** The test's worker has the connection of its starts, and a free slot or not. */
const STARTED = expect.stringMatching(/^started/) as string;

describe('an order whose gateway crashed between the append and the queueing', () => {
  test('is sold by ingest, and the retry gets the order', async () => {
    const purchase = await aPurchaseOnSale();
    const records = await dieBeforeQueue(purchase);
    expect((await buyAs(purchase)).body).toMatchObject({ type: '/problems/request-in-progress' });
    expect((await ingest(...records)).outcomes).toEqual([STARTED]);
    await expect(resultOf(purchase)).resolves.toMatchObject({ outcome: 'confirmed' });

    const { status, body } = await buyAs(purchase);
    expect(status).toBe(409);
    expect(body).toMatchObject({
      type: '/problems/duplicate-request',
      order: { status: 'confirmed' },
    });
    expect(recordsOf(purchase)).toEqual([]);
    expect(await stock.countsOf(purchase.itemId)).toMatchObject({ free: 2, held: 0, sold: 1 });
  });

  test('is found, and its id is taken, after the claim of the gateway has expired', async () => {
    const purchase = await aPurchaseOnSale();
    const records = await dieBeforeQueue(purchase);
    await ingest(...records);
    expect(await stock.redis.pttl(claimKey(purchase.requestId))).toBeGreaterThan(
      ORDER_RETENTION_MS - 60_000,
    );
    await expect(resultOf(purchase)).resolves.toMatchObject({ outcome: 'confirmed' });

    // An ingest that was away for longer than the claim makes it again.
    await stock.redis.del(claimKey(purchase.requestId));
    await ingest(...records);
    const shown = await reply(await fetch(`${open.url}/orders/${purchase.requestId}`));
    expect(shown).toMatchObject({ status: 200, body: { status: 'confirmed' } });
    const other = { ...(await aPurchaseOnSale(2)), requestId: purchase.requestId };
    expect((await buyAs(other)).status).toBe(422);
  });

  test('is accepted by the retry once its lease is over, and its two records are one order', async () => {
    const purchase = await aPurchaseOnSale();
    const first = await dieBeforeQueue(purchase);
    await endLeases(stock.redis, purchase.itemId);
    expect((await buyAs(purchase)).status).toBe(202);
    expect(await stock.countsOf(purchase.itemId)).toMatchObject({ free: 2, held: 0, queued: 1 });

    const { outcomes, letters } = await ingest(...first, ...recordsOf(purchase));
    expect(outcomes.sort()).toEqual(['repeated', STARTED]);
    expect(letters).toEqual([]);
    await expect(resultOf(purchase)).resolves.toMatchObject({ outcome: 'confirmed' });
    expect(money.moneyOf(purchase.requestId)).toEqual({ '1': 'captured' });
    expect(await stock.countsOf(purchase.itemId)).toMatchObject({ free: 2, queued: 0, sold: 1 });
  });
});

describe('an id whose claim has expired while its order lives', () => {
  test('becomes no second order for another item: its record is a dead letter and its units go back', async () => {
    const purchase = await aPurchaseOnSale();
    const elsewhere = { ...(await aPurchaseOnSale(2)), requestId: purchase.requestId };
    await buyAs(purchase);
    const mine = recordsOf(purchase);
    await ingest(...mine);
    await stock.redis.del(claimKey(purchase.requestId));

    // The claim is all that a ledger of another item could know of the first order.
    expect((await buyAs(elsewhere)).status).toBe(202);
    const { outcomes, letters } = await ingest(...recordsOf(purchase).slice(mine.length));
    expect(outcomes).toEqual(['request-id-reused']);
    expect(letters).toMatchObject([
      { reason: 'request-id-reused', requestId: purchase.requestId, itemId: elsewhere.itemId },
    ]);
    // Its own record again: the claim is another request's by now, and stays.
    const claim = await stock.redis.get(claimKey(purchase.requestId));
    expect((await ingest(...mine)).outcomes).toEqual(['repeated']);
    expect(await stock.redis.get(claimKey(purchase.requestId))).toBe(claim);
    expect(claim).toContain(elsewhere.itemId);
    await expect(resultOf(purchase)).resolves.toMatchObject({ outcome: 'confirmed' });
    expect(await stock.countsOf(elsewhere.itemId)).toMatchObject({ free: SUPPLY, queued: 0 });
    expect(await stock.countsOf(purchase.itemId)).toMatchObject({ free: 2, sold: 1 });
    expect(money.moneyOf(purchase.requestId)).toEqual({ '1': 'captured' });
    expect(money.amountOf(keyOf(mine))).toBe(1000);
  });
});

describe('an order whose item changes its price and currency after the hold', () => {
  test('keeps the price of its hold, and is charged that price', async () => {
    const purchase = await aPurchaseOnSale(2);
    await stock.setSale(purchase.itemId, { priceMinor: 1500, currency: 'EUR' });
    expect((await buyAs(purchase)).status).toBe(202);
    await stock.setSale(purchase.itemId, { priceMinor: 9900, currency: 'JPY' });
    const records = recordsOf(purchase);
    expect(records.map(({ value }) => decodeOrder(value))).toMatchObject([
      { kind: 'order', order: { priceMinor: 1500, currency: 'EUR' } },
    ]);

    await ingest(...records);
    await expect(resultOf(purchase)).resolves.toMatchObject({ outcome: 'confirmed' });
    const key = keyOf(records);
    expect([money.amountOf(key), money.currencyOf(key)]).toEqual([3000, 'EUR']);
    const found = await stock.ledger.findOrder(purchase.requestId);
    expect(found?.entry).toMatchObject({ state: 'sold', priceMinor: 1500, currency: 'EUR' });
  });
});
