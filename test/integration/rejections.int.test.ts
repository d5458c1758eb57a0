import type { Order } from '../../engine/orders/order';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
beforeAll(() => {
  stock = openRedisStock();
});
afterAll(() => stock.redis.quit());

/** A request whose first attempt is gone and whose record may be in the log; its buyer is being told no. */
async function aRejectedOrder(): Promise<Order> {
  const order = anOrder(aPurchase({ itemId: anItem() }));
  await stock.setFree(order.itemId, 1);
  expect(await stock.admission.reject([order])).toEqual([{ kind: 'rejected' }]);
  return order;
}

describe('a record of a request that was rejected', () => {
  test('takes no unit under any fence, though one is free', async () => {
    const order = await aRejectedOrder();
    for (const fence of [1, 10, 10, 9_000_000_000_000]) {
      expect((await stock.ledger.reserve(order, fence)).kind).not.toBe('reserved');
    }
    expect(await stock.countsOf(order.itemId)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
    const found = await stock.ledger.findOrder(order.requestId);
    expect(found?.entry ?? { state: 'released' }).toMatchObject({ state: 'released' });
  });

  test('takes its unit after its buyer asked again and got a hold, and may be sold after a failure', async () => {
    const order = await aRejectedOrder();
    const again = anAttempt(order);
    expect(await stock.admission.claimAndHold([again])).toMatchObject([{ hold: { kind: 'held' } }]);
    expect(await stock.ledger.reserve(order, 10)).toMatchObject({ kind: 'reserved' });
    await stock.ledger.release({ order, fence: 11, reason: 'payment-declined' });
    expect(await stock.ledger.reserve(order, 12)).toMatchObject({ kind: 'reserved' });
  });

  test('takes none after a hold that ended without a sale and without an acceptance', async () => {
    const order = await aRejectedOrder();
    const again = anAttempt(order);
    await stock.admission.claimAndHold([again]);
    await stock.admission.undo([{ ...again, undoHold: true, dropClaim: false }]);
    expect((await stock.ledger.reserve(order, 10)).kind).toBe('sold-out');
  });
});

test('rejections are deleted once no record of them can be in the log', async () => {
  const [old, fresh] = [await aRejectedOrder(), anOrder(aPurchase({ itemId: anItem() }))];
  const key = `{inventory:${old.itemId}}:rejections`;
  await stock.redis.zadd(key, 1, old.requestId);
  await stock.admission.reject([{ ...fresh, itemId: old.itemId }]);
  expect(await stock.redis.zrange(key, '0', '-1')).toEqual([fresh.requestId]);
});

test('a request of an item whose ledger is lost counts as known', async () => {
  const order = anOrder(aPurchase({ itemId: anItem() }));
  await stock.setFree(order.itemId, 0);
  expect(await stock.admission.areKnown([order])).toEqual([false]);
  await stock.redis.del(`{inventory:${order.itemId}}:counts`);
  expect(await stock.admission.areKnown([order])).toEqual([true]);
});
