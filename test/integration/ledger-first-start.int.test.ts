import type { ReservingRun } from '../../engine/orders/ledger';
import type { Order } from '../../engine/orders/order';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

const HOUR_MS = 3_600_000;
const first = (runId = 'run-1'): ReservingRun => ({
  start: 'first',
  runId,
  acceptedMsMax: HOUR_MS,
});
const again = (runId = 'run-9'): ReservingRun => ({ ...first(runId), start: 'again' });

/** An order that was accepted just now and is not held, of an item with `free` units. */
async function anUnheldOrder(free: number, userId = 'u1'): Promise<Order> {
  const order = anOrder(anAttempt(aPurchase({ itemId: anItem(), userId })));
  await stock.setFree(order.itemId, free);
  return { ...order, acceptedAt: Date.now() };
}

async function aFailedOrder(reason: 'payment-declined' | 'cancelled'): Promise<Order> {
  const order = await anUnheldOrder(1);
  await stock.ledger.reserve(order, 10, first());
  await stock.ledger.release({ order, fence: 11, reason });
  return order;
}

const entryOf = async ({ itemId, requestId }: Order): Promise<unknown> => {
  const raw = await stock.redis.hget(`{inventory:${itemId}}:orders`, requestId);
  return raw === null ? undefined : JSON.parse(raw);
};

describe('the first start of a record that is read again', () => {
  test.each(['payment-declined', 'cancelled'] as const)(
    'reserves nothing of an order that has ended as %s, and is told so under any fence',
    async (reason) => {
      const order = await aFailedOrder(reason);
      const before = await entryOf(order);
      for (const fence of [9, 11, 99]) {
        const told = await stock.ledger.reserve(order, fence, first('run-2'));
        expect(told).toMatchObject({ kind: 'ended', reason, owed: [1] });
      }
      expect(await entryOf(order)).toEqual(before);
      expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 1, reserved: 0 });
    },
  );

  // A task was lost after its run had reserved the order, and a repair or another run released it meanwhile: nobody has
  // written this run's letter.
  test('of the run that reserved the order comes too late, and is no second reading', async () => {
    const order = await anUnheldOrder(1);
    await stock.ledger.reserve(order, 10, first());
    await stock.ledger.release({ order, fence: 11, reason: 'sale-lost' });
    const told = await stock.ledger.reserve(order, 20, first());
    expect(told).toMatchObject({ kind: 'over', owed: [1] });
    expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 1, reserved: 0 });
    expect(await stock.ledger.reserve(order, 21, first('run-2'))).toMatchObject({ kind: 'ended' });
  });

  test('goes on with a reserved order, and finds a sold one sold', async () => {
    const order = await anUnheldOrder(1);
    await stock.ledger.reserve(order, 10, first());
    const told = await stock.ledger.reserve(order, 20, first('run-2'));
    expect(told).toMatchObject({ kind: 'reserved', generation: 1, again: true });
    await stock.ledger.confirm({ ...order, generation: 1, fence: 21, paymentId: 'p' });
    const sold = await stock.ledger.reserve(order, 30, first('run-3'));
    expect(sold).toMatchObject({ kind: 'sold', paymentId: 'p' });
  });

  test('reserves nothing where the ledger need not know the order any more', async () => {
    const order = await anUnheldOrder(1);
    const old = { ...order, acceptedAt: Date.now() - HOUR_MS - 5_000 };
    expect(await stock.ledger.reserve(old, 10, first())).toEqual({ kind: 'expired', owed: [] });
    expect(await entryOf(old)).toBeUndefined();
    expect(await stock.ledger.reserve(old, 11, again())).toMatchObject({ kind: 'reserved' });
  });
});

describe('a replay', () => {
  test('of a failed order reserves it anew', async () => {
    const order = await aFailedOrder('payment-declined');
    const told = await stock.ledger.reserve(order, 20, again());
    expect(told).toMatchObject({ kind: 'reserved', generation: 2 });
  });

  test('that is refused gives the order its reason, time and step', async () => {
    const order = await aFailedOrder('payment-declined');
    await stock.setFree(order.itemId, 0);
    const before = (await entryOf(order)) as { finished_at: number; timeline: string };
    expect(await stock.ledger.reserve(order, 20, again())).toMatchObject({ kind: 'sold-out' });
    const after = (await entryOf(order)) as typeof before;
    expect(after).toMatchObject({ state: 'released', reason: 'sold-out', fence: 20 });
    expect(after.finished_at).toBeGreaterThanOrEqual(before.finished_at);
    expect(after.timeline).toBe(`${before.timeline}released@${after.finished_at} `);
  });

  test('whose buyer may have no more units is told so, and not that the item is sold out', async () => {
    const order = await aFailedOrder('payment-declined');
    await stock.setFree(order.itemId, 5);
    await stock.setSale(order.itemId, { unitsPerUser: 1 });
    const fresh = anOrder(anAttempt(aPurchase({ itemId: order.itemId })));
    const bought = { ...fresh, acceptedAt: Date.now() };
    await stock.ledger.reserve(bought, 10, first('run-2'));
    expect(await stock.ledger.reserve(order, 20, again())).toMatchObject({ kind: 'limit' });
    expect(await entryOf(order)).toMatchObject({ reason: 'purchase-limit', fence: 20 });
    expect(await stock.ledger.reserve(order, 20, again())).toMatchObject({ kind: 'limit' });
  });
});

describe('a run that was refused', () => {
  test('gets the same answer when it asks again, also when units are free by then', async () => {
    const order = await anUnheldOrder(0);
    expect(await stock.ledger.reserve(order, 10, first())).toMatchObject({ kind: 'sold-out' });
    await stock.setFree(order.itemId, 1);
    for (const fence of [10, 20]) {
      const told = await stock.ledger.reserve(order, fence, first());
      expect(told).toMatchObject({ kind: 'sold-out' });
    }
    const later = await stock.ledger.reserve(order, 30, first('run-2'));
    expect(later).toMatchObject({ kind: 'ended', reason: 'sold-out' });
    expect(await stock.ledger.reserve(order, 40, again())).toMatchObject({ kind: 'reserved' });
  });
});
