import { ApplicationFailure } from '@temporalio/common';
import type { Order } from '../../engine/orders/order';
import { eventually } from './eventually';
import { aSignal, type OrderHandle, type Saga } from './saga';
import type { Step } from './step-hooks';

export interface HeldUp {
  readonly order: Order;
  readonly handle: OrderHandle;
  readonly letGo: () => void;
}

/** What is done to a queued order before its run starts. */
export type Arrange = (saga: Saga, order: Order) => unknown;

/** An order whose run is held up in one step, after whatever `arrange` does to it. */
export async function heldUp(
  saga: Saga,
  when: 'before' | 'after',
  step: Step,
  arrange: Arrange = asItIs,
  start: (order: Order) => Promise<OrderHandle> = saga.start,
): Promise<HeldUp> {
  const order = await saga.aQueuedOrder();
  await arrange(saga, order);
  const [reached, goOn] = [aSignal(), aSignal()];
  saga.onStep(order, when, step, () => {
    reached.give();
    return goOn.given;
  });
  const handle = await start(order);
  await reached.given;
  return { order, handle, letGo: goOn.give };
}

export const asItIs: Arrange = () => undefined;

/** So that its run has something to settle before it charges. */
export const owesAnEarlierGeneration: Arrange = async (saga, order) => {
  await saga.ledger.reserve(order, 1);
  await saga.ledger.release({ order, fence: 2, reason: 'payment-unknown' });
};

/** An activity that is never tried again, and may have taken effect. */
export function noAnswer(): never {
  throw ApplicationFailure.nonRetryable('no answer, ever');
}

/** So that its run comes to its compensation: neither the charge at once nor the regular one tells what became of it. */
export const losesItsCharge: Arrange = (saga, order) => {
  saga.onStep(order, 'after', 'chargePayment', noAnswer, noAnswer);
};

/** So that the next charge is the regular one, with the money taken already. */
export const isChargedInDoubt: Arrange = (saga, order) => {
  saga.onStep(order, 'after', 'chargePayment', noAnswer);
};

/** So that the next charge is the regular one, and the first to reach the provider. */
export const missesTheChargeAtOnce: Arrange = (saga, order) => {
  saga.onStep(order, 'before', 'chargePayment', noAnswer);
};

const ACTIVITY_CANCEL_REQUESTED = 15;

/**
 * Waits until the run has heeded its cancellation in the regular step that it is held up in. The request alone is not
 * enough: an answer of the step that reaches the same workflow task comes first, and the order is rightly sold.
 */
export function cancellationHeeded(handle: OrderHandle): Promise<unknown> {
  return eventually('the run gives up its step', async () => {
    const { events } = await handle.fetchHistory();
    return (events ?? []).some(({ eventType }) => Number(eventType) === ACTIVITY_CANCEL_REQUESTED);
  });
}

/** How many charges of the order the provider has kept. */
export function capturedOf(saga: Saga, { requestId }: Order): number {
  const money = Object.values(saga.money.moneyOf(requestId));
  return money.filter((status) => status === 'captured').length;
}

/** How a run has ended: `cancelled` either way, whether Temporal was asked or only the ledger. */
export async function endOf(handle: OrderHandle): Promise<string> {
  const { status } = await handle.describe();
  if (status.name === 'RUNNING') {
    await handle.result().catch((error: unknown) => error);
    return endOf(handle);
  }
  return status.name === 'COMPLETED' ? (await handle.result()).outcome : status.name.toLowerCase();
}
