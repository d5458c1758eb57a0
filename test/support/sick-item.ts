import { ORDER_OUTCOME, PARKED } from '../../engine/orders/contract';
import type { Order } from '../../engine/orders/order';
import { countsKey } from '../../engine/stock/keys';
import { eventually } from './eventually';
import type { OrderHandle, Saga } from './saga';
import type { Step } from './step-hooks';

const stockKey = ({ itemId }: Pick<Order, 'itemId'>) => `inventory:${itemId}`;

/** Writes a word over the stock of an order's item, so that its ledger cannot be read. Returns the way to mend it. */
export async function makeSick(saga: Saga, order: Pick<Order, 'itemId'>) {
  const free = await saga.redis.getset(stockKey(order), 'plenty');
  return () => saga.redis.set(stockKey(order), free ?? '0');
}

/** Closes the ledger of an order's item, as if Redis had lost it. Returns the way to mend it. */
export async function loseLedger(saga: Saga, { itemId }: Pick<Order, 'itemId'>) {
  const opened = await saga.redis.hget(countsKey(itemId), 'opened');
  await saga.redis.hdel(countsKey(itemId), 'opened');
  return () => saga.redis.hset(countsKey(itemId), 'opened', opened ?? '1');
}

/** Waits until a run is parked in a step: its attribute says so, and the server retries the step. */
export function isParked(handle: OrderHandle, step: Step = 'reserveStock'): Promise<unknown> {
  return eventually(`the order is parked in ${step}`, async () => {
    const { raw, typedSearchAttributes } = await handle.describe();
    const waits = (raw.pendingActivities ?? []).some(
      ({ activityType, attempt }) => activityType?.name === step && (attempt ?? 0) > 1,
    );
    return waits && typedSearchAttributes.get(ORDER_OUTCOME) === PARKED;
  });
}
