import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { register } from 'prom-client';
import { createRefundActivities } from '../../activities/refund-activities';
import { createArchive, readSoldOrders } from '../../engine/archive/archive';
import { createEndedOrders } from '../../engine/archive/ended-orders';
import { createFinishedOrders } from '../../engine/archive/finished-orders';
import { createItemHistory } from '../../engine/archive/item-history';
import { leaveLedger } from '../../engine/archive/leave-ledger';
import { createArchivedReturns } from '../../engine/archive/returns';
import { createSales } from '../../engine/archive/sales';
import { writeStockChanges } from '../../engine/archive/stock-changes';
import { createOutcomePublisher } from '../../engine/kafka/outcome-publisher';
import { paymentKey, type ItemId, type Order, type OrderId } from '../../engine/orders/order';
import type { LogEntry } from '../../engine/kafka/safe-producer';
import { decodeReturnEvent, returnEventId } from '../../engine/orders/return-event';
import { refundedMinor } from '../../engine/orders/sale-return';
import { outcomeEvent } from '../../engine/orders/order-event';
import { readAdjustments, removeAdjustments } from '../../engine/stock/adjustments';
import { createAfterSaleLedger } from '../../engine/stock/after-sale';
import { createFinishClaims } from '../../engine/stock/claims';
import { buyersKey, countsKey, itemKeys, operationsKey, ordersKey } from '../../engine/stock/keys';
import { createLeavingOrders } from '../../engine/stock/leaving-orders';
import { createStockOperations } from '../../engine/stock/stock-operations';
import { redisAddr } from '../support/addresses';
import { useAfterSaleMoney } from '../support/after-sale-money';
import { createTestArchive, type TestArchive } from '../support/archive';
import { createRecords } from '../support/archived-records';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { redisStockOn, type RedisStock } from '../support/redis-stock';

type SoldOrder = Order & { readonly orderId: OrderId };

let archive: TestArchive;
let stock: RedisStock;
beforeAll(async () => {
  archive = await createTestArchive();
  // A database of its own: the archivers of other tests take the changes of every item.
  stock = redisStockOn(new Redis(redisAddr(), { db: 9 }));
});
afterAll(async () => {
  await stock.redis.quit();
  await archive.drop();
});

let told: LogEntry[];
const money = useAfterSaleMoney();
beforeEach(() => {
  told = [];
});

const odd: string[] = [];
const sales = () =>
  createSales({
    ledger: stock.ledger,
    afterSale: createAfterSaleLedger(stock.redis),
    archive: {
      ...createEndedOrders(archive.database, () => Promise.resolve(0)),
      ...createArchivedReturns(archive.database),
    },
  });
const steps = () =>
  createRefundActivities({
    sales: sales(),
    provider: money.provider,
    onOddReturn: ({ currency }) => odd.push(currency),
    returns: createOutcomePublisher(stock.ledger, {
      append: (entry) => {
        told.push(entry);
        return Promise.resolve({ partition: 0, offset: '0' });
      },
    }),
  });
const events = () =>
  told.map(({ value }) => {
    const decoded = decodeReturnEvent(value);
    if (decoded.kind !== 'event') throw new Error('no event', { cause: decoded });
    return decoded.event;
  });

/** An order of two units at 10.00 that was sold. */
async function aSale(currency = 'USD'): Promise<SoldOrder> {
  const attempt = anAttempt(aPurchase({ itemId: anItem(), userId: 'u1', amount: 2 }));
  await stock.setFree(attempt.itemId, 5);
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  const order = { ...anOrder(attempt), orderId: attempt.orderId as OrderId };
  await stock.ledger.reserve(order, 1);
  await stock.ledger.confirm({ ...order, generation: 1, fence: 2, paymentId: 'ch_1' });
  await money.charge(keyOf(order), currency);
  return order;
}
const keyOf = (order: SoldOrder) => paymentKey(order.requestId, order.orderId, 1);
const entryOf = async ({ requestId, itemId }: SoldOrder) =>
  (await stock.ledger.findOrder(requestId, itemId))?.entry;
const nameOf = ({ itemId, requestId, orderId }: SoldOrder) => ({ itemId, requestId, orderId });
const refundOf = (order: SoldOrder, fields: object = {}) => ({
  ...nameOf(order),
  operationId: 'op-1',
  by: 'ann',
  why: 'a test',
  ...fields,
});
const ownedBy = async ({ itemId }: SoldOrder) =>
  Number(await stock.redis.hget(buyersKey(itemId), 'u1'));

/** What was told and what the ledger has recorded of the item is archived. */
async function archived(order: SoldOrder, { withStock = true } = {}): Promise<void> {
  const records = createRecords();
  const entry = await entryOf(order);
  const end = entry && outcomeEvent({ ...order, entry });
  await archive.fill(
    records.order(order),
    ...(end ? [records.event(end)] : []),
    ...told.map(({ value }) => records.append('order-events', value)),
  );
  if (withStock) await archiveStock(order.itemId);
}
async function archiveStock(itemId: ItemId): Promise<void> {
  const entries = (await readAdjustments(stock.redis, [itemId], 1_000)).get(itemId);
  if (!entries || entries instanceof Error) throw new Error('no stream', { cause: entries });
  await writeStockChanges(archive.database, itemId, entries);
  const ids = entries.map(([id]) => id);
  if (ids.length > 0) await removeAdjustments(stock.redis, itemId, ids);
}
async function leave(): Promise<void> {
  await leaveLedger({
    finished: createFinishedOrders(archive.database),
    ledger: createLeavingOrders(stock.redis),
    finishClaims: createFinishClaims(stock.redis),
    ledgerRetentionMs: 0,
    orderRetentionMs: 3_600_000,
    onLeft: () => undefined,
    onFailure: ({ error }) => {
      throw error;
    },
    now: () => Date.now() + 60_000,
  });
}
const hasEntry = async ({ itemId, requestId }: SoldOrder) =>
  (await stock.redis.hexists(ordersKey(itemId), requestId)) === 1;
const differences = ({ itemId }: SoldOrder) => stock.maintenance.compareCounts(itemId);

describe('refunds of a sale', () => {
  test('are noted and told once, whether the engine or the dashboard has made them', async () => {
    const order = await aSale();
    const refund = await steps().refundSale(refundOf(order, { amountMinor: 500 }));
    await steps().noteReturns({ ...nameOf(order), refund });
    await money.refund(keyOf(order), 300);
    await steps().noteReturns(nameOf(order));
    await steps().noteReturns(nameOf(order));
    const entry = await entryOf(order);
    expect(entry).toMatchObject({ state: 'sold', returns: [{ operationId: 'op-1' }, {}] });
    expect(refundedMinor(entry?.returns)).toBe(800);
    expect(events().map(({ returned }) => returned.amountMinor)).toEqual([500, 300]);
    expect(events()[0]?.order).toMatchObject({ ...nameOf(order), userId: 'u1', amount: 2 });
    expect(events().map(({ paymentId }) => paymentId)).toEqual(['ch_1', 'ch_1']);
  });

  test('are made once for an operation whose answer was lost, and not under another amount', async () => {
    const order = await aSale();
    await money.loseAnAnswer();
    const step = refundOf(order, { amountMinor: 500 });
    await expect(steps().refundSale(step)).rejects.toThrow('503');
    await steps().refundSale(step);
    expect(await money.refundsOf(keyOf(order))).toHaveLength(1);
    const another = steps().refundSale({ ...step, amountMinor: 600 });
    await expect(another).rejects.toMatchObject({
      message: 'operation-reused',
      nonRetryable: true,
    });
  });

  test('that the provider refuses change nothing', async () => {
    const order = await aSale();
    const before = await entryOf(order);
    const refused = steps().refundSale(refundOf(order, { amountMinor: 2_001 }));
    await expect(refused).rejects.toMatchObject({
      type: 'RefundRefused',
      message: expect.any(String) as string,
      nonRetryable: true,
    });
    await steps().noteReturns(nameOf(order));
    expect(await entryOf(order)).toEqual(before);
    expect(told).toEqual([]);
  });

  test('come in any order: a status never goes back, and one that failed counts no more', async () => {
    const order = await aSale();
    await money.keepPending();
    const pending = await steps().refundSale(refundOf(order));
    await steps().noteReturns(nameOf(order));
    expect(refundedMinor((await entryOf(order))?.returns)).toBe(2_000);
    await money.fail(keyOf(order));
    await steps().noteReturns(nameOf(order));
    await createAfterSaleLedger(stock.redis).noteReturns(nameOf(order), [pending]);
    const entry = await entryOf(order);
    expect(entry?.returns).toMatchObject([
      { status: 'failed', reason: expect.any(String) as string },
    ]);
    expect(refundedMinor(entry?.returns)).toBe(0);
    expect(events().map(({ returned }) => returned.status)).toEqual(['pending', 'failed']);
    expect(new Set(events().map(returnEventId)).size).toBe(2);
    const counted = await register.getSingleMetric('flash_sale_returns_total')?.get();
    const labels = { kind: 'refund', status: 'failed' };
    expect(counted?.values).toContainEqual({ labels, value: 1 });
  });

  test('are told again where the process died before they were noted', async () => {
    const order = await aSale();
    await steps().refundSale(refundOf(order));
    const dying = createRefundActivities({
      sales: { ...sales(), noteReturns: () => Promise.reject(new Error('died')) },
      provider: money.provider,
      onOddReturn: () => undefined,
      returns: createOutcomePublisher(stock.ledger, {
        append: (entry) => {
          told.push(entry);
          return Promise.resolve({ partition: 0, offset: '0' });
        },
      }),
    });
    await expect(dying.noteReturns(nameOf(order))).rejects.toThrow('died');
    await steps().noteReturns(nameOf(order));
    expect(new Set(events().map(returnEventId)).size).toBe(1);
    expect(told).toHaveLength(2);
  });

  test('of an order that is not sold, or of another order under its request_id, are refused', async () => {
    const attempt = anAttempt(aPurchase({ itemId: anItem() }));
    await stock.setFree(attempt.itemId, 1);
    await stock.admission.claimAndHold([attempt]);
    const open = { ...anOrder(attempt), orderId: attempt.orderId as OrderId };
    await expect(steps().refundSale(refundOf(open))).rejects.toThrow('not-sold');
    const sold = await aSale();
    const other = { ...sold, orderId: randomUUID() as OrderId };
    await expect(steps().refundSale(refundOf(other))).rejects.toThrow('not-sold');
    expect(await steps().noteReturns(nameOf(other))).toEqual([]);
  });

  test('in another currency are no refunds of it, and keep nothing else from being told', async () => {
    const order = await aSale('EUR');
    await expect(steps().refundSale(refundOf(order))).rejects.toMatchObject({
      type: 'RefundRefused',
    });
    await money.refund(keyOf(order), 300);
    expect(await steps().noteReturns(nameOf(order))).toEqual([]);
    expect(odd).toEqual(['EUR']);
  });

  test('leave the sale as it is for every later step', async () => {
    const order = await aSale();
    await steps().refundSale(refundOf(order));
    await steps().noteReturns(nameOf(order));
    expect(await stock.ledger.reserve(order, 99)).toMatchObject({ kind: 'sold', generation: 1 });
    const released = await stock.ledger.release({ order, fence: 100, reason: 'cancelled' });
    expect(released).toMatchObject({ kind: 'sold' });
    expect(await stock.ledger.isRefundable({ ...order, generation: 1 })).toBe(false);
    expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 3, supply: 5 });
  });
});

test('a dispute is told when it is opened and when it is decided', async () => {
  const order = await aSale();
  await money.dispute(keyOf(order));
  await steps().noteReturns(nameOf(order));
  await money.loseDispute(keyOf(order));
  await steps().noteReturns(nameOf(order));
  expect(events().map(({ returned }) => [returned.kind, returned.status])).toEqual([
    ['dispute', 'open'],
    ['dispute', 'lost'],
  ]);
  expect((await entryOf(order))?.returns).toMatchObject([{ kind: 'dispute', status: 'lost' }]);
});

describe('a sale that has left the ledger', () => {
  test('is refunded from the archive, and its refunds are told once', async () => {
    const order = await aSale();
    await archived(order);
    await leave();
    expect(await hasEntry(order)).toBe(false);
    await steps().refundSale(refundOf(order, { amountMinor: 700 }));
    await steps().noteReturns(nameOf(order));
    expect(events()).toHaveLength(1);
    await archived(order);
    await steps().noteReturns(nameOf(order));
    expect(events()).toHaveLength(1);
    const found = await createArchive(archive.database).newestOrder(order.requestId);
    expect(found).toMatchObject({ status: 'confirmed', refundedMinor: 700 });
    const returns = await createArchive(archive.database).returnsOf(order.orderId);
    expect(returns).toEqual(events().map(({ returned }) => returned));
  });

  test('gives units back once, also when Redis has forgotten the operation', async () => {
    const order = await aSale();
    await archived(order);
    await leave();
    const step = { ...refundOf(order), restock: 1 };
    await steps().restockSale(step);
    await steps().restockSale(step);
    expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 4, supply: 6 });
    await archiveStock(order.itemId);
    await stock.redis.del(operationsKey(order.itemId));
    await steps().restockSale(step);
    const other = steps().restockSale({ ...step, restock: 2 });
    await expect(other).rejects.toMatchObject({ message: 'operation-reused' });
    const many = steps().restockSale({ ...step, operationId: 'op-2', restock: 2 });
    await expect(many).rejects.toMatchObject({ message: 'too-many' });
    expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 4, supply: 6 });
    expect(await differences(order)).toEqual([]);
  });

  test('gives no unit back twice, though the archive does not know yet that it is back', async () => {
    const order = await aSale();
    await archived(order);
    await leave();
    const step = { ...refundOf(order, { amountMinor: 500 }), restock: 2 };
    await steps().refundSale(step);
    await steps().restockSale(step);
    const another = { ...step, operationId: 'op-2', restock: 1 };
    await expect(steps().restockSale(another)).rejects.toMatchObject({ message: 'too-many' });
    expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 5, supply: 7 });
    await expect(steps().refundSale(another)).rejects.toMatchObject({ message: 'too-many-units' });
    expect(await steps().refundSale(step)).toMatchObject({ amountMinor: 500 });
    await archiveStock(order.itemId);
    await expect(steps().restockSale(another)).rejects.toMatchObject({ message: 'too-many' });
    expect(await steps().refundSale(step)).toMatchObject({ amountMinor: 500 });
  });
});

describe('units that are put back', () => {
  const restocked = async (order: SoldOrder, restock: number, operationId = 'op-1') =>
    steps().restockSale({ ...refundOf(order, { operationId }), restock });

  test('are free once for an operation, and their buyer may buy again', async () => {
    const order = await aSale();
    await stock.setSale(order.itemId, { unitsPerUser: 2 });
    const again = () =>
      stock.admission.claimAndHold([anAttempt(aPurchase({ itemId: order.itemId, userId: 'u1' }))]);
    const verdictOf = async () => {
      const [verdict] = await again();
      return verdict instanceof Error ? verdict : verdict?.hold.kind;
    };
    expect(await verdictOf()).toBe('limit');
    await restocked(order, 1);
    await restocked(order, 1);
    expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 4, supply: 6 });
    expect(await ownedBy(order)).toBe(1);
    expect(await differences(order)).toEqual([]);
    expect(await verdictOf()).toBe('held');
    expect(await verdictOf()).toBe('limit');
  });

  test('are never more than were sold, and not another number for the same operation', async () => {
    const order = await aSale();
    await expect(restocked(order, 3)).rejects.toMatchObject({ message: 'too-many' });
    await restocked(order, 1);
    await expect(restocked(order, 2)).rejects.toMatchObject({ message: 'operation-reused' });
    await restocked(order, 1, 'op-2');
    await expect(restocked(order, 1, 'op-3')).rejects.toMatchObject({ message: 'too-many' });
    expect(await stock.countsOf(order.itemId)).toMatchObject({ sold: 2, free: 5, supply: 7 });
    expect(await stock.redis.hexists(buyersKey(order.itemId), 'u1')).toBe(0);
  });

  test('are the same after a recount, and after the order has left: it waits for the archive', async () => {
    const order = await aSale();
    await stock.setSale(order.itemId, { unitsPerUser: 2 });
    await restocked(order, 1);
    await stock.redis.hset(buyersKey(order.itemId), 'u1', 7);
    await stock.maintenance.mendCounts(order.itemId, { by: 'ann', why: 'a test' });
    expect(await ownedBy(order)).toBe(1);
    await archived(order, { withStock: false });
    await leave();
    expect(await hasEntry(order)).toBe(true);
    await archiveStock(order.itemId);
    await leave();
    expect(await hasEntry(order)).toBe(false);
    const attempts = [1, 2].map(() => anAttempt(aPurchase({ itemId: order.itemId, userId: 'u1' })));
    const verdicts = await stock.admission.claimAndHold(attempts);
    expect(verdicts).toMatchObject([{ hold: { kind: 'held' } }, { hold: { kind: 'limit' } }]);
    expect(await differences(order)).toEqual([]);
  });

  test('are counted when an item gets its limit later, once the archive has them', async () => {
    const order = await aSale();
    await archived(order);
    await leave();
    await restocked(order, 1);
    const operations = createStockOperations(stock.redis, {
      soldOrders: readSoldOrders(createArchive(archive.database)),
    });
    const limit = () => operations.changeSale(order.itemId, { unitsPerUser: 1 }, { by: 'ann' });
    await expect(limit()).rejects.toThrow('were put back');
    await archiveStock(order.itemId);
    expect(await limit()).toMatchObject({ kind: 'changed' });
    const owners: [string, number][] = [];
    await createItemHistory(archive.database).read(order.itemId, (snapshot) =>
      snapshot.owners((page) => {
        owners.push(...page);
        return Promise.resolve();
      }),
    );
    expect(owners).toEqual([['u1', 1]]);
  });

  test('wait while a ledger is lost', async () => {
    const order = await aSale();
    await stock.redis.hdel(countsKey(order.itemId), 'opened');
    await expect(restocked(order, 1)).rejects.toThrow('NOLEDGER');
    await stock.redis.del(...itemKeys(order.itemId));
  });
});
