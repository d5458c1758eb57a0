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

/** Prepares a queued order before its run starts. */
export type Arrange = (saga: Saga, order: Order) => unknown;

/** An order whose run waits in one step until `letGo`. `arrange` prepares the order. */
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

/** Leaves an unresolved charge of an earlier generation, which the run resolves before it charges. */
export const hasUnresolvedCharge: Arrange = async (saga, order) => {
  await saga.ledger.reserve(order, 1);
  await saga.ledger.release({ order, fence: 2, reason: 'payment-unknown' });
};

/** Fails an activity without a retry. It may have taken effect. */
export function noAnswer(): never {
  throw ApplicationFailure.nonRetryable('no response');
}

/** The results of the first charge and of the regular charge are lost, so the run compensates. */
export const losesItsCharge: Arrange = (saga, order) => {
  saga.onStep(order, 'after', 'chargePayment', noAnswer, noAnswer);
};

/** The result of the first charge is lost, so the regular charge finds the order already charged. */
export const isChargedInDoubt: Arrange = (saga, order) => {
  saga.onStep(order, 'after', 'chargePayment', noAnswer);
};

/** The first charge fails before it reaches the provider, so the regular charge is the first to reach it. */
export const missesTheChargeAtOnce: Arrange = (saga, order) => {
  saga.onStep(order, 'before', 'chargePayment', noAnswer);
};

const ACTIVITY_CANCEL_REQUESTED = 15;

/**
 * Waits until the run has requested the cancellation of the regular step in which it waits. The request to the workflow is
 * not enough: a result of the step in the same workflow task comes first, and the order is then correctly sold.
 */
export function cancellationHeeded(handle: OrderHandle): Promise<unknown> {
  return eventually('the run cancels its step', async () => {
    const { events } = await handle.fetchHistory();
    return (events ?? []).some(({ eventType }) => Number(eventType) === ACTIVITY_CANCEL_REQUESTED);
  });
}

/** The number of the order's charges that the provider has captured and not refunded. */
export function capturedOf(saga: Saga, { requestId }: Order): number {
  const money = Object.values(saga.money.moneyOf(requestId));
  return money.filter((status) => status === 'captured').length;
}

/** The outcome of a run. It is `cancelled` whether Temporal or only the ledger was asked to cancel. */
export async function endOf(handle: OrderHandle): Promise<string> {
  const { status } = await handle.describe();
  if (status.name === 'RUNNING') {
    await handle.result().catch((error: unknown) => error);
    return endOf(handle);
  }
  return status.name === 'COMPLETED' ? (await handle.result()).outcome : status.name.toLowerCase();
}
