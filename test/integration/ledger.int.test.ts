import type { Order } from '../../engine/orders/order';
import { parseEvents, readEvents } from '../../engine/stock/stored-entry';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

const none = { free: 0, held: 0, queued: 0, reserved: 0, sold: 0 };

/** An order of a fresh item that has `supply` units, admitted and queued. */
async function aQueuedOrder(supply = 1, amount = 1): Promise<Order> {
  const purchase = aPurchase({ itemId: anItem(), amount });
  await stock.setFree(purchase.itemId, supply);
  const attempt = anAttempt(purchase);
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  return anOrder(attempt);
}

const confirm = (order: Order, generation: number, fence: number) =>
  stock.ledger.confirm({ ...order, generation, fence, paymentId: `pay-${String(generation)}` });
const release = (order: Order, fence: number, declined?: number) =>
  stock.ledger.release({
    order,
    fence,
    reason: 'payment-declined',
    ...(declined !== undefined && { declined }),
  });
const counts = (order: Order) => stock.countsOf(order.itemId);

describe('an order on its way to a sale', () => {
  test('is reserved with generation 1, whose charge is unresolved from the start, and then sold', async () => {
    const order = await aQueuedOrder();
    expect(await stock.ledger.reserve(order, 10)).toMatchObject({
      kind: 'reserved',
      generation: 1,
      owed: [],
    });
    expect(await counts(order)).toEqual({ ...none, reserved: 1, supply: 1 });
    expect((await stock.ledger.findOrder(order.requestId))?.entry.unresolvedCharges).toEqual([1]);

    expect(await confirm(order, 1, 11)).toMatchObject({ kind: 'sold' });
    expect(await counts(order)).toEqual({ ...none, sold: 1, supply: 1 });
    expect((await stock.ledger.findOrder(order.requestId))?.entry).toMatchObject({
      state: 'sold',
      unresolvedCharges: [],
      paymentId: 'pay-1',
    });
  });

  test('gets the same generation from a retried reserve, marked as open already, and is sold once by a retried confirm', async () => {
    const order = await aQueuedOrder(2);
    const reservation = await stock.ledger.reserve(order, 10);
    expect(await stock.ledger.reserve(order, 10)).toMatchObject({ ...reservation, again: true });
    await confirm(order, 1, 11);
    expect(await confirm(order, 1, 11)).toMatchObject({ kind: 'sold' });
    expect(await counts(order)).toEqual({ ...none, free: 1, sold: 1, supply: 2 });
  });

  test('that was never held takes free units, if there are any', async () => {
    const order = anOrder(aPurchase({ itemId: anItem(), amount: 2 }));
    await stock.setFree(order.itemId, 2);
    expect(await stock.ledger.reserve(order, 10)).toMatchObject({
      kind: 'reserved',
      generation: 1,
    });
    const second = anOrder(aPurchase({ itemId: order.itemId }));
    expect(await stock.ledger.reserve(second, 10)).toMatchObject({ kind: 'sold-out', owed: [] });
    expect(await counts(order)).toEqual({ ...none, reserved: 2, supply: 2 });
  });

  test('that was never held is sold only while units last, with many reserving at once', async () => {
    const itemId = anItem();
    const crowd = Array.from({ length: 20 }, () => anOrder(aPurchase({ itemId })));
    await stock.setFree(itemId, 3);
    const answers = await Promise.all(crowd.map((order) => stock.ledger.reserve(order, 10)));
    expect(answers.filter(({ kind }) => kind === 'reserved')).toHaveLength(3);
    expect(await stock.countsOf(itemId)).toEqual({ ...none, reserved: 3, supply: 3 });
  });

  test('is a mismatch for another request under its id, which takes and releases nothing', async () => {
    const order = await aQueuedOrder(2);
    const other = anOrder({ ...order, amount: 2 });
    expect(await stock.ledger.reserve(other, 10)).toMatchObject({ kind: 'mismatch', owed: [] });
    await stock.ledger.release({ order: other, fence: 11, reason: 'request-id-reused' });
    expect(await counts(order)).toEqual({ ...none, free: 1, queued: 1, supply: 2 });
  });
});

describe('an order that is released', () => {
  test('returns its units once, and has an unresolved charge until that is resolved', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    expect(await release(order, 11)).toMatchObject({ kind: 'released', generation: 1, owed: [1] });
    expect(await release(order, 12)).toMatchObject({ kind: 'released', generation: 1, owed: [1] });
    expect(await counts(order)).toEqual({ ...none, free: 1, supply: 1 });

    expect(await stock.ledger.isRefundable({ ...order, generation: 1 })).toBe(true);
    await stock.ledger.resolveCharge({ ...order, generation: 1 });
    expect(await release(order, 13)).toMatchObject({ kind: 'released', generation: 1, owed: [] });
  });

  test('has no unresolved charge for a generation that was declined for certain', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    expect(await release(order, 11, 1)).toMatchObject({
      kind: 'released',
      generation: 1,
      owed: [],
    });
  });

  test('after it was sold stays sold, and the release says so', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    await confirm(order, 1, 11);
    expect(await release(order, 12)).toMatchObject({
      kind: 'sold',
      generation: 1,
      owed: [],
      paymentId: 'pay-1',
    });
    expect(await counts(order)).toEqual({ ...none, sold: 1, supply: 1 });
  });

  test('may be reserved again under a later fence, as a new generation', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    await release(order, 11);
    expect(await stock.ledger.reserve(order, 20)).toMatchObject({
      kind: 'reserved',
      generation: 2,
      owed: [1],
    });
    expect(await confirm(order, 1, 21)).toEqual({ kind: 'lost' });
    expect(await confirm(order, 2, 21)).toMatchObject({ kind: 'sold' });
  });

  test('before it was reserved leaves an entry that stops a late reserve', async () => {
    const order = anOrder(aPurchase({ itemId: anItem() }));
    await stock.setFree(order.itemId, 1);
    await release(order, 11);
    expect(await stock.ledger.reserve(order, 10)).toMatchObject({ kind: 'over', owed: [] });
    expect(await counts(order)).toEqual({ ...none, free: 1, supply: 1 });
  });
});

describe('a step of an older run', () => {
  test('cannot reserve what a later step has reserved', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 20);
    expect(await stock.ledger.reserve(order, 10)).toMatchObject({ kind: 'over' });
  });

  test('cannot confirm or release what a later step has reserved', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 20);
    expect(await confirm(order, 1, 15)).toEqual({ kind: 'lost' });
    await release(order, 15);
    expect(await counts(order)).toEqual({ ...none, reserved: 1, supply: 1 });
  });

  test('may not refund a reserved or sold generation', async () => {
    const order = await aQueuedOrder();
    await stock.ledger.reserve(order, 10);
    const generation = { ...order, generation: 1 };
    expect(await stock.ledger.isRefundable(generation)).toBe(false);
    await stock.ledger.resolveCharge(generation);
    expect((await stock.ledger.findOrder(order.requestId))?.entry.unresolvedCharges).toEqual([1]);
    await confirm(order, 1, 11);
    expect(await stock.ledger.isRefundable(generation)).toBe(false);
  });
});

describe('an order without a workflow', () => {
  test('is abandoned by its fingerprint only, and only before it is reserved', async () => {
    const order = await aQueuedOrder();
    const abandon = (fingerprint: string) =>
      stock.ledger.abandon({ ...order, fingerprint, reason: 'request-id-reused' });
    await abandon('another');
    expect(await counts(order)).toMatchObject({ queued: 1 });
    await abandon(order.fingerprint);
    await abandon(order.fingerprint);
    expect(await counts(order)).toEqual({ ...none, free: 1, supply: 1 });
    expect((await stock.ledger.findOrder(order.requestId))?.entry).toMatchObject({
      state: 'released',
      reason: 'request-id-reused',
    });
  });
});

describe('the event stream', () => {
  test('has every change of state in order, with the free units after it', async () => {
    const order = await aQueuedOrder(3);
    await stock.ledger.reserve(order, 10);
    await release(order, 11);
    await stock.setFree(order.itemId, 9);
    await stock.ledger.reserve(order, 12);
    const told = await readEvents(stock.redis, order.itemId);
    expect(told.map(({ state, free }) => `${state} ${free}`)).toEqual([
      'adjusted 3',
      'opened 3',
      'held 2',
      'queued 2',
      'reserved 2',
      'released 3',
      'adjusted 9',
      'reserved 8',
    ]);
  });

  test('has the changes of several orders in one call as one entry, in their order', async () => {
    const itemId = anItem();
    await stock.setFree(itemId, 5);
    const attempts = [2, 1].map((amount) => anAttempt(aPurchase({ itemId, amount })));
    await stock.admission.claimAndHold(attempts);
    await stock.admission.queue(attempts);
    const entries = await stock.redis.xrange(`{inventory:${itemId}}:events`, '-', '+');
    const [first, second] = attempts.map(({ requestId }) => requestId);
    expect(entries.slice(-2).map(([, fields]) => parseEvents(fields))).toEqual([
      [
        { state: 'held', free: 3, order: { requestId: first, units: 2, generation: 0 } },
        { state: 'held', free: 2, order: { requestId: second, units: 1, generation: 0 } },
      ],
      [
        { state: 'queued', free: 2, order: { requestId: first, units: 2, generation: 0 } },
        { state: 'queued', free: 2, order: { requestId: second, units: 1, generation: 0 } },
      ],
    ]);
  });
});
