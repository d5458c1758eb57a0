import { proxyActivities, proxyLocalActivities, type RetryPolicy } from '@temporalio/workflow';
import type { DeadLetterActivities, PaymentActivities, StockActivities } from '../activities';

/** A ledger that is away comes back: nothing is gained by giving up, only by not storming it. */
const PATIENT = {
  initialInterval: '200 ms',
  backoffCoefficient: 2,
  maximumInterval: '10 s',
} satisfies RetryPolicy;

/**
 * One fast, idempotent Redis call: not worth a task of its own. It is tried for ever, since an order must not fail
 * because Redis restarts.
 */
export const { reserveStock } = proxyLocalActivities<StockActivities>({
  startToCloseTimeout: '6 s',
  retry: PATIENT,
});

/** Confirming is bounded: the buyer's money is taken, and after a minute they should have it back or the unit. */
export const { confirmSale } = proxyLocalActivities<StockActivities>({
  startToCloseTimeout: '6 s',
  scheduleToCloseTimeout: '1 minute',
  retry: PATIENT,
});

/**
 * One quick attempt within the workflow task, which saves the server two of its tasks. Longer than most card networks take,
 * and well within the time of a workflow task; whoever has not answered by then is asked by `chargePayment`.
 */
export const { chargePayment: chargeAtOnce } = proxyLocalActivities<PaymentActivities>({
  startToCloseTimeout: '3 s',
  retry: { maximumAttempts: 1 },
});

/**
 * 10 s an attempt: card networks answer within a few seconds or not at all. Two minutes in all, then the payment is
 * unknown and the key is blocked.
 */
export const { chargePayment } = proxyActivities<PaymentActivities>({
  startToCloseTimeout: '10 s',
  scheduleToCloseTimeout: '2 minutes',
  retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '15 s' },
});

/** Compensation has no end but success: what was taken is given back, however long it takes. */
const UNTIL_DONE = { ...PATIENT, maximumInterval: '1 minute' } satisfies RetryPolicy;

export const { releaseStock } = proxyActivities<StockActivities>({
  startToCloseTimeout: '10 s',
  retry: UNTIL_DONE,
});

export const { refundPayment } = proxyActivities<PaymentActivities>({
  startToCloseTimeout: '20 s',
  retry: UNTIL_DONE,
});

export const { deadLetter } = proxyActivities<DeadLetterActivities>({
  startToCloseTimeout: '20 s',
  retry: UNTIL_DONE,
});
