import { ORDER_OUTCOME, ORDER_WORKFLOW } from '../../engine/orders/contract';
import { paymentKey, type Order } from '../../engine/orders/order';
import { orderStartOptions, type StartKind } from '../../engine/orders/order-start';
import { claimKey, ordersKey } from '../../engine/stock/keys';
import { makeOld } from '../support/old-entry';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { redisStockOn } from '../support/redis-stock';
import { failureOf, useSaga, type OrderHandle } from '../support/saga';

const saga = useSaga();
const { money } = saga;

/** An order as ingest finds it, at this price, of a new item unless another is given. */
async function anAcceptedOrder(
  fields: { requestId?: string; itemId?: string; priceMinor?: number } = {},
): Promise<Order> {
  const { itemId = anItem(), priceMinor = 1000, requestId } = fields;
  const attempt = anAttempt(aPurchase({ itemId, ...(requestId !== undefined && { requestId }) }));
  const stock = redisStockOn(saga.redis);
  await stock.setFree(attempt.itemId, 5);
  await stock.setSale(attempt.itemId, { priceMinor });
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  return { ...anOrder(attempt), priceMinor, acceptedAt: Date.now() };
}

/**
 * Starts an order as ingest and operators do. `forgotten`: as if Temporal had forgotten the earlier run, whose deletion can take
 * the server a minute; the run has another workflow id instead.
 */
const start = (
  order: Order,
  kind: StartKind = { kind: 'first' },
  forgotten = false,
): Promise<OrderHandle> => {
  const options = orderStartOptions({ order, source: SOURCE }, saga.taskQueue, kind);
  const { requestId } = order;
  const workflowId = forgotten ? `${requestId}-once-more` : requestId;
  return saga.client.workflow.start(ORDER_WORKFLOW, { ...options, workflowId });
};
const SOURCE = { topic: 'orders', partition: 0, offset: '7' };
const startForgotten = (order: Order) => start(order, { kind: 'first' }, true);

/** As when every retention is over, and the entry has left Redis. */
async function forget(order: Order): Promise<void> {
  await saga.redis.del(claimKey(order.requestId));
  await saga.redis.hdel(ordersKey(order.itemId), order.requestId);
}

/** What was charged under the first payment key of each order; two orders with one key have one charge. */
function chargesOf(...orders: readonly Order[]) {
  const keys = orders.map(({ requestId, orderId }) => paymentKey(requestId, orderId, 1));
  return [...new Set(keys)].map((key) => money.amountOf(key));
}

describe('a request_id that is used again when its order is forgotten', () => {
  test.each([
    ['at another price', 2500],
    ['at the same price', 1000],
  ])('is an order of its own, charged for itself: for another item %s', async (_, priceMinor) => {
    const earlier = await anAcceptedOrder();
    await (await start(earlier)).result();
    await forget(earlier);
    const later = await anAcceptedOrder({ requestId: earlier.requestId, priceMinor });
    await expect((await startForgotten(later)).result()).resolves.toMatchObject({
      outcome: 'confirmed',
    });
    expect(chargesOf(earlier, later)).toEqual([1000, priceMinor]);
  });

  test('is an order of its own, charged for itself: for the same purchase', async () => {
    const earlier = await anAcceptedOrder();
    await (await start(earlier)).result();
    await forget(earlier);
    const later = await anAcceptedOrder(earlier);
    await expect((await startForgotten(later)).result()).resolves.toMatchObject({
      outcome: 'confirmed',
    });
    expect(chargesOf(earlier, later)).toEqual([1000, 1000]);
  });
});

describe('an order that is older than order ids', () => {
  test('is carried to its end under its old payment keys, through failure and replay', async () => {
    const accepted = await anAcceptedOrder();
    await makeOld(saga.redis, accepted);
    const order = { ...accepted, orderId: undefined };
    const { requestId } = order;
    money.declineIf((key) => key === `${requestId}:1`);
    expect(await failureOf(await start(order))).toBe('payment-declined');
    const replay = { by: 'ann', why: 'the card was renewed' };
    const handle = await start(order, { kind: 'replay', replay });
    await expect(handle.result()).resolves.toMatchObject({ outcome: 'confirmed', generation: 2 });
    expect(money.moneyOf(requestId)).toEqual({ '1': 'declined', '2': 'captured' });
    expect(money.amountOf(`${requestId}:2`)).toBe(1000);
  });
});

describe('a log that is read again when the runs are forgotten', () => {
  const declined = async () => {
    const order = await anAcceptedOrder();
    money.declineIf((key) => key.startsWith(`${order.requestId}:`));
    await failureOf(await start(order));
    money.declineIf(() => false);
    return order;
  };

  test('charges no failed order again: it fails as before, with the letter that it has', async () => {
    const order = await declined();
    const handle = await startForgotten(order);
    expect(await failureOf(handle)).toBe('payment-declined');
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'declined' });
    expect(saga.lettersOf(order)).toHaveLength(1);
    const { typedSearchAttributes } = await handle.describe();
    expect(typedSearchAttributes.get(ORDER_OUTCOME)).toBe('payment-declined');
  });

  test('leaves a cancelled order cancelled, and a sold one sold', async () => {
    const [cancelled, sold] = [await anAcceptedOrder(), await anAcceptedOrder()];
    await saga.ledger.release({ order: cancelled, fence: 1, reason: 'cancelled' });
    await (await start(sold)).result();
    await expect((await start(cancelled)).result()).resolves.toEqual({ outcome: 'cancelled' });
    await expect((await startForgotten(sold)).result()).resolves.toMatchObject({
      outcome: 'confirmed',
    });
    expect(money.moneyOf(cancelled.requestId)).toEqual({});
    expect(money.moneyOf(sold.requestId)).toEqual({ '1': 'captured' });
  });

  test('still lets a reset run and a replay try a failed order again', async () => {
    const [reset, replayed] = [await declined(), await declined()];
    await expect((await saga.reset(reset)).result()).resolves.toMatchObject({ generation: 2 });
    const replay = { by: 'ann', why: 'the card was renewed' };
    const handle = await start(replayed, { kind: 'replay', replay });
    await expect(handle.result()).resolves.toMatchObject({ generation: 2 });
  });

  test('starts nothing that was accepted too long ago for the ledger to know it, and says so', async () => {
    const order = { ...(await anAcceptedOrder()), acceptedAt: 1_700_000_000_000 };
    await saga.redis.hdel(ordersKey(order.itemId), order.requestId);
    expect(await failureOf(await start(order))).toBe('sale-lost');
    expect(money.moneyOf(order.requestId)).toEqual({});
    expect(saga.lettersOf(order)).toMatchObject([{ reason: 'sale-lost', orderId: order.orderId }]);
  });
});
