import type { Order, OrderId } from '../../engine/orders/order';
import { makeOld } from '../support/old-entry';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

async function aQueuedOrder(): Promise<Order> {
  const attempt = anAttempt(aPurchase({ itemId: anItem() }));
  await stock.setFree(attempt.itemId, 2);
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  return anOrder(attempt);
}

interface Due {
  payBy?: number;
  payLeftMs?: number;
}

/** Another acceptance of the same request. */
const another = (order: Order): Order => ({ ...order, orderId: 'another.1' as OrderId });

const entryOf = async ({ requestId }: Order) => (await stock.ledger.findOrder(requestId))?.entry;

describe('reserve and release', () => {
  test('tell the order id and the price of the entry, whatever the record says', async () => {
    const { orderId, ...order } = await aQueuedOrder();
    const record = { ...order, orderId: 'another.1' as OrderId, priceMinor: 1, currency: 'EUR' };
    const inLedger = { orderId, priceMinor: 1000, currency: 'USD' };
    expect(await stock.ledger.reserve(record, 10)).toMatchObject({ order: inLedger });
    expect(await stock.ledger.reserve(record, 10)).toMatchObject({ again: true, order: inLedger });
    const released = await stock.ledger.release({ order: record, fence: 11, reason: 'sale-lost' });
    expect(released).toMatchObject({ kind: 'released', orderId });
    expect(await stock.ledger.reserve(record, 9)).toMatchObject({ kind: 'over', order: inLedger });
  });

  test('make an entry with the order id of the record, where there is none', async () => {
    const itemId = anItem();
    await stock.setFree(itemId, 1);
    const [sold, late] = [1, 2].map(() => anOrder(anAttempt(aPurchase({ itemId }))));
    if (!sold || !late) throw new Error('two orders');
    const { orderId } = sold;
    expect(await stock.ledger.reserve(sold, 10)).toMatchObject({ order: { orderId } });
    const released = await stock.ledger.release({ order: late, fence: 11, reason: 'sale-lost' });
    expect(released).toMatchObject({ orderId: late.orderId });
  });

  test('take the time to pay from the entry, or from the record of the same acceptance', async () => {
    const order = await aQueuedOrder();
    const payWithinMs = 60_000;
    const other = await stock.ledger.reserve({ ...another(order), payWithinMs }, 10);
    expect(other).toMatchObject({ kind: 'reserved' });
    expect(other).not.toHaveProperty('payBy');
    await stock.ledger.release({ order, fence: 11, reason: 'sale-lost' });
    const own = await stock.ledger.reserve({ ...order, payWithinMs }, 12);
    expect(own).toMatchObject({ kind: 'reserved', payBy: expect.any(Number) as number });
    // The deadline is the generation's: who reserves it again has no more time.
    const { payBy, payLeftMs = 0 } = own as Due;
    const again = await stock.ledger.reserve({ ...order, payWithinMs: 3_600_000 }, 13);
    expect(again).toMatchObject({ again: true, payBy });
    expect((again as Due).payLeftMs).toBeLessThanOrEqual(payLeftMs);
  });

  test('tell the deadline of a payment by the clock of Redis, whatever the clock of the run', async () => {
    const now = async () => {
      const [seconds = 0, micros = 0] = (await stock.redis.time()).map(Number);
      return seconds * 1_000 + Math.floor(micros / 1_000);
    };
    for (const fence of [10, Date.now() + 3_600_000]) {
      const order = { ...(await aQueuedOrder()), payWithinMs: 60_000 };
      const before = await now();
      const { payBy = 0, payLeftMs } = (await stock.ledger.reserve(order, fence)) as Due;
      expect(payBy - 60_000).toBeGreaterThanOrEqual(before);
      expect(payBy - 60_000).toBeLessThanOrEqual(await now());
      expect(payLeftMs).toBe(60_000);
    }
  });

  test('tell that an entry is older than order ids', async () => {
    const order = await aQueuedOrder();
    await makeOld(stock.redis, order);
    const reserved = await stock.ledger.reserve(order, 10);
    expect(reserved).toMatchObject({ order: { orderId: undefined, priceMinor: 1000 } });
    const old = { ...order, orderId: undefined, generation: 1 };
    expect(await stock.ledger.isRefundable(old)).toBe(false);
    expect(await stock.ledger.confirm({ ...old, fence: 11, paymentId: 'p' })).toMatchObject({
      kind: 'sold',
    });
  });
});

describe('the entry of another order under the same request_id', () => {
  test('is not sold, settled or abandoned by a step of this one, whose charge may be refunded', async () => {
    const order = await aQueuedOrder();
    const other = another(order);
    await stock.ledger.abandon({ ...other, reason: 'request-id-reused' });
    await stock.ledger.reserve(order, 10);
    const step = { ...other, generation: 1 };
    expect(await stock.ledger.confirm({ ...step, fence: 11, paymentId: 'p' })).toEqual({
      kind: 'lost',
    });
    expect(await stock.ledger.isRefundable(step)).toBe(true);
    expect(await stock.ledger.isRefundable({ ...order, generation: 1 })).toBe(false);
    await stock.ledger.resolveCharge(step);
    expect(await entryOf(order)).toMatchObject({ state: 'reserved', unresolvedCharges: [1] });
  });

  test('does not wait for a run of this one', async () => {
    const order = await aQueuedOrder();
    expect(await stock.ledger.awaitsRun(order)).toBe(true);
    expect(await stock.ledger.awaitsRun(another(order))).toBe(false);
    await stock.ledger.reserve(order, 10);
    expect(await stock.ledger.awaitsRun(order)).toBe(false);
  });
});
