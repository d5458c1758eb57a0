import {
  ApplicationFailure,
  CancelledFailure,
  CancellationScope,
  isCancellation,
  TemporalFailure,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { ApplicationFailureCategory } from '@temporalio/common';
import { assertNever } from '../engine/orders/invariant';
import type { FailureReason, Order, ReleaseReason } from '../engine/orders/order';
import { charge } from './charge';
import {
  ORDER_FAILED,
  ORDER_OUTCOME,
  type OrderCancelled,
  type OrderConfirmed,
  type OrderInput,
  type OrderResult,
} from '../engine/orders/contract';
import { confirmSale, deadLetter, refundPayment, releaseStock, reserveStock } from './steps';
import { createStory, rootMessage, type Story } from './story';

/** How an attempt to sell ended, before anything is given back. */
type Attempt =
  | OrderResult
  | {
      readonly outcome: 'not-sold';
      readonly reason: ReleaseReason;
      readonly error: string;
      /** 0 while nothing was reserved. */
      readonly generation: number;
      /** The generation was declined for certain: nothing is owed for it. */
      readonly declined?: boolean;
      /** Nothing was taken by this run and nothing is to be given back. */
      readonly nothingTaken?: boolean;
    };

/**
 * Sells one order: reserve its units, take the money, confirm. If any step says no, or may have happened without our
 * knowing, what was taken is given back and the order ends as a dead letter and a failed workflow.
 */
export async function orderWorkflow(input: OrderInput): Promise<OrderResult> {
  const story = createStory();
  const attempt = await sell(input, story);
  if (attempt.outcome !== 'not-sold') return attempt;
  const { order } = input;

  return CancellationScope.nonCancellable(async () => {
    const { reason, error, generation } = attempt;
    story(`not sold: ${reason} (${error})`);
    if (!attempt.nothingTaken) {
      // Before the refund: it closes the generation, so that nobody can build on a payment about to be returned.
      const released = await releaseStock.executeWithOptions(
        { summary: `give back ${units(order)}: ${reason}` },
        [{ order, fence: Date.now(), reason, ...(attempt.declined && { declined: generation }) }],
      );
      await settle(order, released.owed, story);
      if (released.kind === 'sold') {
        story('sold after all');
        return confirmed(released);
      }
      story('units given back');
      // Where no cancellation has come here, the ledger is all that tells of it: nobody is to try this order again.
      if (released.cancelledByBuyer && reason !== 'cancelled') return cancelledByBuyer(story);
    }
    if (reason === 'cancelled') throw new CancelledFailure('the order was cancelled');

    await deadLetter.executeWithOptions({ summary: `${order.requestId}: ${reason}` }, [
      { input, reason, error, generation },
    ]);
    story('dead letter written');
    upsertSearchAttributes([{ key: ORDER_OUTCOME, value: reason }]);
    throw orderFailed(reason, error);
  });
}

async function sell(input: OrderInput, story: Story): Promise<Attempt> {
  const { order } = input;
  let step: { reason: FailureReason; generation: number } = { reason: 'sale-lost', generation: 0 };
  try {
    const reservation = await reserveStock.executeWithOptions(
      { summary: `reserve ${units(order)}` },
      [{ order, fence: Date.now() }],
    );
    await settle(order, reservation.owed, story);
    switch (reservation.kind) {
      case 'reserved':
        break;
      case 'sold':
        story('already sold');
        return confirmed(reservation);
      case 'cancelled':
        return cancelledByBuyer(story);
      case 'sold-out':
        return { ...notTaken, reason: 'sold-out', error: 'no unit was left' };
      case 'over':
        return {
          ...notTaken,
          reason: 'sale-lost',
          error: 'a later step of this order took effect',
        };
      case 'mismatch':
        return { ...notTaken, reason: 'request-id-reused', error: 'the id is another request' };
      default:
        return assertNever(reservation);
    }
    const { generation, again = false } = reservation;
    story(`reserved ${units(order)}, generation ${String(generation)}`);

    step = { reason: 'payment-unknown', generation };
    const payment = await charge({ ...input, generation, again, story });
    if (payment.kind === 'declined') {
      return notSold('payment-declined', `the provider said: ${payment.code}`, generation, true);
    }
    story(`charged ${payment.paymentId}`);

    step = { reason: 'sale-lost', generation };
    return await confirm(order, generation, payment.paymentId, story);
  } catch (error) {
    // Anything else is a bug in this code: the task fails and is retried, and the order stays whole.
    if (!(error instanceof TemporalFailure)) throw error;
    const reason = isCancellation(error) ? 'cancelled' : step.reason;
    return notSold(reason, rootMessage(error), step.generation);
  }
}

/** From here on the money is taken: a cancellation comes too late. */
function confirm(
  order: Order,
  generation: number,
  paymentId: string,
  story: Story,
): Promise<Attempt> {
  return CancellationScope.nonCancellable(async () => {
    const { itemId, requestId } = order;
    const sale = await confirmSale.executeWithOptions({ summary: `sell ${units(order)}` }, [
      { itemId, requestId, generation, fence: Date.now(), paymentId },
    ]);
    if (sale.kind === 'lost') return notSold('sale-lost', 'the reservation was gone', generation);
    story(`sold ${units(order)}`);
    return confirmed({ generation, paymentId });
  });
}

async function settle(order: Order, owed: readonly number[], story: Story): Promise<void> {
  const { itemId, requestId } = order;
  for (const generation of owed) {
    const summary = `settle ${requestId}, generation ${String(generation)}`;
    const refund = await refundPayment.executeWithOptions({ summary }, [
      { itemId, requestId, generation },
    ]);
    story(`generation ${String(generation)}: ${refund}`);
  }
}

const notTaken = { outcome: 'not-sold', generation: 0, nothingTaken: true } as const;

function notSold(
  reason: ReleaseReason,
  error: string,
  generation: number,
  declined = false,
): Attempt {
  return { outcome: 'not-sold', reason, error, generation, declined };
}

function confirmed(sale: { generation: number; paymentId?: string }): OrderConfirmed {
  const { generation, paymentId } = sale;
  return { outcome: 'confirmed', generation, ...(paymentId !== undefined && { paymentId }) };
}

/**
 * A run that was not asked to cancel cannot close as cancelled, and closed as failed it could be started again: so it
 * completes, and says in its outcome that nothing was sold.
 */
function cancelledByBuyer(story: Story): OrderCancelled {
  story('cancelled by its buyer');
  upsertSearchAttributes([{ key: ORDER_OUTCOME, value: 'cancelled' }]);
  return { outcome: 'cancelled' };
}

/** Expected, so benign: failed orders stand out in the Web UI, not in the worker's log. */
function orderFailed(reason: FailureReason, error: string): ApplicationFailure {
  return ApplicationFailure.create({
    message: reason,
    type: ORDER_FAILED,
    nonRetryable: true,
    details: [{ reason, error }],
    category: ApplicationFailureCategory.BENIGN,
  });
}

function units(order: Order): string {
  return `${order.itemId} ×${String(order.amount)}`;
}
