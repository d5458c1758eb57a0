import { cancelContract, type WorkedOn } from '../contract/cancel.contract';
import type { Order } from '../../engine/orders/order';
import type { Attempt } from '../../engine/stock/admission';
import { readEvents } from '../../engine/stock/stored-entry';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

const confirm = (order: Order, fence: number) =>
  stock.ledger.confirm({ ...order, generation: 1, fence, paymentId: 'p' });
const release = (order: Order, fence: number, reason: 'payment-declined' | 'cancelled') =>
  stock.ledger.release({ order, fence, reason });
const cancel = (order: Order) => stock.ledger.cancel(order);
const entryOf = async (order: Order) => (await stock.ledger.findOrder(order.requestId))?.entry;

async function bring(attempt: Attempt, to: WorkedOn): Promise<unknown> {
  const order = anOrder(attempt);
  await stock.ledger.reserve(order, 10);
  if (to === 'sold') return confirm(order, 11);
  if (to === 'failed') return release(order, 11, 'payment-declined');
  if (to === 'cancelled-by-operator') return release(order, 11, 'cancelled');
  return undefined;
}
cancelContract('Redis', () => ({ ...stock, bring }));

async function aQueuedOrder(): Promise<Order> {
  const purchase = aPurchase({ itemId: anItem() });
  await stock.setFree(purchase.itemId, 1);
  const attempt = anAttempt(purchase);
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  return anOrder(attempt);
}

describe('an order that its buyer has cancelled', () => {
  test('while it awaited its payment is not told so before the provider has ended that', async () => {
    const order = { ...(await aQueuedOrder()), payWithinMs: 60_000 };
    await stock.ledger.reserve(order, 10);
    expect(await cancel(order)).toMatchObject({ kind: 'under-way' });
    // A task was lost: the mark is found, and the run ends the payment before it releases the units.
    const again = { kind: 'reserved', generation: 1, again: true, payLeftMs: 0 };
    expect(await stock.ledger.reserve(order, 9)).toMatchObject({ kind: 'cancelled', owed: [1] });
    expect(await stock.ledger.reserve(order, 11)).toMatchObject(again);
    expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 0, reserved: 1 });
    const ended = await stock.ledger.release({ order, fence: 12, reason: 'payment-deadline' });
    expect(ended).toMatchObject({ kind: 'released', owed: [1], cancelledByBuyer: true });
    expect(await entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
    expect(await stock.ledger.reserve(order, 13)).toMatchObject({ kind: 'cancelled', owed: [1] });
    expect(await cancel(order)).toMatchObject({ kind: 'under-way' });
    await stock.ledger.resolveCharge({ ...order, generation: 1 });
    expect(await cancel(order)).toMatchObject({ kind: 'cancelled' });
  });

  test('after its payment was due is told so, and never has another payment', async () => {
    const order = { ...(await aQueuedOrder()), payWithinMs: 60_000 };
    await stock.ledger.reserve(order, 10);
    await stock.ledger.release({ order, fence: 11, reason: 'payment-deadline', declined: 1 });
    expect(await cancel(order)).toMatchObject({ kind: 'cancelled' });
    expect(await stock.ledger.reserve(order, 12)).toMatchObject({ kind: 'cancelled', owed: [] });
    expect(await entryOf(order)).toMatchObject({ state: 'released', reason: 'payment-deadline' });
  });

  test('while it was queued is never reserved, under any fence', async () => {
    const order = await aQueuedOrder();
    await cancel(order);
    for (const fence of [1, 10, 10, 9_000_000_000_000]) {
      expect(await stock.ledger.reserve(order, fence)).toMatchObject({
        kind: 'cancelled',
        owed: [],
      });
    }
    expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
    expect(await entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
  });

  test('while it was reserved is released by the next reserve, which returns the unresolved charges', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    await cancel(order);
    // A call of an earlier step cannot take away what a later one has reserved.
    expect(await stock.ledger.reserve(order, 9)).toMatchObject({ kind: 'cancelled', owed: [1] });
    expect(await entryOf(order)).toMatchObject({ state: 'reserved' });
    expect(await stock.ledger.reserve(order, 11)).toMatchObject({ kind: 'cancelled', owed: [1] });
    expect(await stock.ledger.reserve(order, 12)).toMatchObject({ kind: 'cancelled', owed: [1] });
    expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
    expect(await confirm(order, 13)).toEqual({ kind: 'lost' });
    await stock.ledger.resolveCharge({ ...order, generation: 1 });
    expect(await entryOf(order)).toMatchObject({
      reason: 'cancelled',
      unresolvedCharges: [],
      fence: 11,
    });
  });

  test('ends as cancelled even if something else has stopped it, and the release says so', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    await cancel(order);
    const released = { kind: 'released', generation: 1, owed: [1], cancelledByBuyer: true };
    expect(await release(order, 11, 'payment-declined')).toMatchObject(released);
    expect(await release(order, 12, 'payment-declined')).toMatchObject(released);
    expect(await entryOf(order)).toMatchObject({ state: 'released', reason: 'cancelled' });
    expect(await cancel(order)).toMatchObject({ kind: 'cancelled' });
  });

  test('after its money was taken is sold, and stays sold', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    await cancel(order);
    expect(await confirm(order, 11)).toMatchObject({ kind: 'sold' });
    expect(await cancel(order)).toMatchObject({ kind: 'sold' });
    expect(await stock.ledger.reserve(order, 12)).toMatchObject({ kind: 'sold', generation: 1 });
    expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 0, sold: 1, supply: 1 });
  });

  test('leaves its buyer the allowance for another purchase, under another id', async () => {
    const order = await aQueuedOrder();
    await stock.setSale(order.itemId, { unitsPerUser: 1 });
    await cancel(order);
    const again = await stock.admission.claimAndHold([anAttempt(order)]);
    expect(again).toMatchObject([{ claim: 'same', hold: { kind: 'exists' } }]);
    const other = anAttempt(aPurchase({ itemId: order.itemId }));
    expect(await stock.admission.claimAndHold([other])).toMatchObject([{ hold: { kind: 'held' } }]);
  });

  test('is in the stream of changes, with the free units after it', async () => {
    const order = await aQueuedOrder();
    await cancel(order);
    await cancel(order);
    const told = await readEvents(stock.redis, order.itemId);
    expect(told.map(({ state }) => state).filter((state) => state !== 'opened')).toEqual([
      ...['adjusted', 'held', 'queued', 'released'],
    ]);
    expect(told.at(-1)).toMatchObject({ free: 1, order: { requestId: order.requestId } });
  });
});

describe('an order that an operator has cancelled', () => {
  test("can be tried again: only the buyer's cancellation leaves a mark", async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    await release(order, 11, 'cancelled');
    expect(await stock.ledger.reserve(order, 12)).toMatchObject({
      kind: 'reserved',
      generation: 2,
    });
  });
});
