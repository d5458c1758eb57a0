import { proxyActivities, proxyLocalActivities, type RetryPolicy } from '@temporalio/workflow';
import type { OrderActivities } from '../activities/order-activities';

/** A ledger that is away comes back, so the retries never end; they only must not flood it. */
const WITHOUT_END = {
  initialInterval: '200 ms',
  backoffCoefficient: 2,
  maximumInterval: '10 s',
} satisfies RetryPolicy;

/**
 * One fast, idempotent Redis call: not worth a task of its own. Its retries never end, because an order must not fail
 * when Redis restarts.
 */
export const { reserveStock } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '6 s',
  retry: WITHOUT_END,
});

/** Bounded: the money is taken, and after a minute the buyer gets the unit or the money back. */
export const { confirmSale } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '6 s',
  scheduleToCloseTimeout: '1 minute',
  retry: WITHOUT_END,
});

/**
 * One quick attempt within the workflow task, which saves the server two tasks. 3 s are more than most card networks take
 * and much less than a workflow task may take; without an answer by then, `chargePayment` asks again.
 */
export const { chargePayment: chargeAtOnce } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '3 s',
  retry: { maximumAttempts: 1 },
});

/**
 * 10 s an attempt: card networks answer within a few seconds or not at all. After two minutes the payment counts as
 * unknown, and its key is blocked.
 */
export const { chargePayment } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '10 s',
  scheduleToCloseTimeout: '2 minutes',
  retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '15 s' },
});

/** A compensation is retried until it succeeds: what was taken goes back, however long it takes. */
const UNTIL_DONE = { ...WITHOUT_END, maximumInterval: '1 minute' } satisfies RetryPolicy;

export const { releaseStock } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '10 s',
  retry: UNTIL_DONE,
});

export const { refundPayment, deadLetter } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '20 s',
  retry: UNTIL_DONE,
});
