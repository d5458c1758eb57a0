import type { Order } from '../../engine/orders/order';
import { ORDER_OUTCOME, PARKED } from '../../engine/orders/contract';
import { eventually } from './eventually';
import type { OrderHandle, Saga } from './saga';
import type { Step } from './step-hooks';

const stockKey = ({ itemId }: Pick<Order, 'itemId'>) => `inventory:${itemId}`;

/** Writes a word over the stock of an order's item, so that its ledger cannot be read. Returns the way to mend it. */
export async function makeSick(saga: Saga, order: Pick<Order, 'itemId'>) {
  const free = await saga.redis.getset(stockKey(order), 'plenty');
  return () => saga.redis.set(stockKey(order), free ?? '0');
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
