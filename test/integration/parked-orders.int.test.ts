import type { Client } from '@temporalio/client';
import { ORDER_OUTCOME } from '../../engine/orders/contract';
import type { Order } from '../../engine/orders/order';
import { createOrderStarter } from '../../ingest/start-orders';
import { countsKey } from '../../engine/stock/keys';
import { aSignal, failureOf, useSaga, type OrderHandle } from '../support/saga';
import { eventually } from '../support/eventually';
import { anItem, anOrder, aPurchase } from '../support/purchases';
import { isParked, makeSick } from '../support/sick-item';

const saga = useSaga();
const { money, aQueuedOrder, start, lettersOf, countsOf } = saga;

/** More than a worker has workflow task slots. */
const WAITING = 300;

const lengthOf = async (handle: OrderHandle) => (await handle.fetchHistory()).events?.length;

/** What ingest counts as open, of one item only. */
function countOpen({ itemId }: Pick<Order, 'itemId'>): Promise<number> {
  const ofTheItem = {
    withDeadline: (_: unknown, use: () => unknown) => use(),
    workflow: {
      count: (query: string) => saga.client.workflow.count(`${query} AND ItemId = '${itemId}'`),
    },
  };
  return createOrderStarter(ofTheItem as unknown as Client, saga.taskQueue).countOpen();
}

/** The server's lists are behind. */
const noneCountsAsOpen = (item: Pick<Order, 'itemId'>, withinMs?: number) =>
  eventually('none counts as open', async () => (await countOpen(item)) === 0, withinMs);

describe('orders of an item whose ledger gives no answer', () => {
  test.each([
    ['is written over by hand', (item: Pick<Order, 'itemId'>) => makeSick(saga, item)],
    ['is lost', (item: Pick<Order, 'itemId'>) => saga.redis.del(countsKey(item.itemId))],
  ])(
    'leave the workers to the other items, where it %s',
    async (_, harm) => {
      const sick = { itemId: anItem() };
      await saga.setFree(sick, WAITING);
      await harm(sick);
      await Promise.all(
        Array.from({ length: WAITING }, () => start(anOrder(aPurchase({ itemId: sick.itemId })))),
      );
      const other = await aQueuedOrder();
      expect(await (await start(other)).result()).toMatchObject({ outcome: 'confirmed' });
      await noneCountsAsOpen(sick, 90_000);
    },
    180_000,
  );

  test('go on once it is mended, and each is sold and charged once', async () => {
    const first = await aQueuedOrder({ supply: 10 });
    const orders = [
      first,
      ...Array.from({ length: 9 }, () => anOrder(aPurchase({ itemId: first.itemId }))),
    ];
    const mend = await makeSick(saga, first);
    const handles = await Promise.all(orders.map((order) => start(order)));
    await Promise.all(handles.map((handle) => isParked(handle)));
    await noneCountsAsOpen(first);
    await mend();
    for (const handle of handles) {
      expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
      expect((await handle.describe()).typedSearchAttributes.get(ORDER_OUTCOME)).toBeUndefined();
    }
    for (const { requestId } of orders) {
      expect(money.moneyOf(requestId)).toEqual({ '1': 'captured' });
    }
    expect(await countsOf(first)).toMatchObject({ free: 0, sold: 10, supply: 10 });
  }, 180_000);
});

describe('a parked order', () => {
  test('has a history that does not grow while it is tried again', async () => {
    const order = await aQueuedOrder();
    const mend = await makeSick(saga, order);
    const handle = await start(order);
    await isParked(handle);
    const length = await lengthOf(handle);
    await eventually('the step is tried five times', async () => {
      const { raw } = await handle.describe();
      return (raw.pendingActivities?.[0]?.attempt ?? 0) >= 5;
    });
    expect(await lengthOf(handle)).toBe(length);
    expect(length).toBeLessThan(10);
    await mend();
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed' });
  });

  test('is one whose Redis is silent for a while, and it counts as open again afterwards', async () => {
    const order = await aQueuedOrder();
    const [charging, charged, answered] = [aSignal(), aSignal(), aSignal()];
    saga.onStep(order, 'before', 'reserveStock', () => answered.given);
    // The attempt within the task ends: until then the server does not know that the order goes on.
    saga.onStep(order, 'before', 'chargePayment', () => Promise.reject(new Error('no answer')));
    saga.onStep(order, 'before', 'chargePayment', () => {
      charging.give();
      return charged.given;
    });
    const handle = await start(order);
    await charging.given;
    await eventually('it counts as open', async () => (await countOpen(order)) === 1);
    charged.give();
    expect(await handle.result()).toMatchObject({ outcome: 'confirmed', generation: 1 });
    expect(money.moneyOf(order.requestId)).toEqual({ '1': 'captured' });
    answered.give();
  });

  test('that Temporal is asked to cancel ends as cancelled once its units can be released', async () => {
    const order = await aQueuedOrder();
    const mend = await makeSick(saga, order);
    const handle = await start(order);
    await isParked(handle);
    await handle.cancel();
    await isParked(handle, 'releaseStock');
    await noneCountsAsOpen(order);
    await mend();
    expect(await failureOf(handle)).toBe('CancelledFailure');
    expect(await countsOf(order)).toMatchObject({ free: 1, queued: 0, supply: 1 });
    expect(money.moneyOf(order.requestId)).toEqual({});
    expect(lettersOf(order)).toEqual([]);
  });

  test('that its buyer cancels after the ledger is mended is not sold', async () => {
    const order = await aQueuedOrder();
    const mend = await makeSick(saga, order);
    const handle = await start(order);
    await isParked(handle);
    await mend();
    expect(await saga.ledger.cancel(order)).toMatchObject({ kind: 'cancelled' });
    expect(await handle.result()).toEqual({ outcome: 'cancelled' });
    expect(money.moneyOf(order.requestId)).toEqual({});
  });

  test('may be one that gives its units back, and it fails with its own reason', async () => {
    const order = await aQueuedOrder();
    money.declineIf((key) => key.startsWith(`${order.requestId}:`));
    let mend = () => Promise.resolve<unknown>(undefined);
    saga.onStep(order, 'before', 'releaseStock', async () => {
      mend = await makeSick(saga, order);
    });
    const handle = await start(order);
    await isParked(handle, 'releaseStock');
    await noneCountsAsOpen(order);
    await mend();
    expect(await failureOf(handle)).toBe('payment-declined');
    const { typedSearchAttributes } = await handle.describe();
    expect(typedSearchAttributes.get(ORDER_OUTCOME)).toBe('payment-declined');
    expect(lettersOf(order)).toMatchObject([{ reason: 'payment-declined' }]);
    expect(await countsOf(order)).toMatchObject({ free: 1, reserved: 0, supply: 1 });
  });
});
