import { proxyActivities, proxyLocalActivities, type RetryPolicy } from '@temporalio/workflow';
import type { OrderActivities } from '../activities/order-activities';
import type { createSellAtOnce } from '../activities/sell-at-once';
import { LEDGER_UNREADABLE } from '../engine/orders/contract';

/** A ledger that is away comes back, so the retries never end; they only must not flood it. */
const WITHOUT_END = {
  initialInterval: '200 ms',
  backoffCoefficient: 2,
  maximumInterval: '10 s',
} satisfies RetryPolicy;

/** Many orders may wait, so each asks about once a minute; parked ones less often where they are many (`createPacedRetries`). */
const UNTIL_DONE = { ...WITHOUT_END, maximumInterval: '1 minute' } satisfies RetryPolicy;

/** No second try helps against a ledger that an operator has to mend. */
const nonRetryableErrorTypes = [LEDGER_UNREADABLE];

/** How far a sale at once has come. */
export type SaleAtOnce = Awaited<ReturnType<typeof sellAtOnce>>;

/**
 * It bounds its own steps, and far within this time. Its error says that there is no reservation, or no answer about it, so
 * it holds a slot no longer than a hiccup of Redis. Both bounds are one: after an attempt that was timed out and may still
 * charge there is no second one, whose own error would hide that (`readRunHistory`).
 */
export const { sellAtOnce } = proxyLocalActivities<ReturnType<typeof createSellAtOnce>>({
  startToCloseTimeout: '20 s',
  scheduleToCloseTimeout: '20 s',
  retry: { ...WITHOUT_END, maximumAttempts: 2, nonRetryableErrorTypes },
});

/**
 * How orders that are older than `sellAtOnce` reserve at once. One fast, idempotent Redis call: not worth a task of its own.
 * It keeps a slot of the worker, so it has only the time of a hiccup of Redis.
 */
export const { reserveStock: reserveAtOnce } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '2 s',
  scheduleToCloseTimeout: '2 s',
  retry: { ...WITHOUT_END, nonRetryableErrorTypes },
});

/** The retries never end, because an order must not fail when Redis restarts or a ledger waits for its rebuild. */
export const { reserveStock } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '6 s',
  retry: UNTIL_DONE,
});

/** How orders older than parking reserve: they wait in their workflow task. */
export const { reserveStock: reserveInTask } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '6 s',
  retry: WITHOUT_END,
});

export const { confirmSale: confirmAtOnce } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '5 s',
  scheduleToCloseTimeout: '5 s',
  retry: { ...WITHOUT_END, nonRetryableErrorTypes },
});

/**
 * Bounded: the money is taken, and a minute after the first try the buyer gets the unit or the money back.
 */
export const { confirmSale } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '6 s',
  scheduleToCloseTimeout: '55 s',
  retry: WITHOUT_END,
});

/** How orders older than parking confirm: they wait in their workflow task. */
export const { confirmSale: confirmInTask } = proxyLocalActivities<OrderActivities>({
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

/**
 * A provider that is away delays the order and decides nothing: nobody may sell units whose payment is open. Nobody else
 * waits for it, so it may be asked for as long as it takes.
 */
export const { findPayment, cancelPayment } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '20 s',
  retry: UNTIL_DONE,
});

/**
 * A few tries before the order is parked. Their number is bounded, not their time: a busy worker is no reason to park. A
 * release may end a payment at the provider first, and has the time of that.
 */
export const { releaseStock: releaseAtOnce } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '20 s',
  retry: { ...UNTIL_DONE, maximumAttempts: 5, nonRetryableErrorTypes },
});

/** A compensation is retried until it succeeds: what was taken goes back, however long it takes. */
export const { releaseStock } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '20 s',
  retry: UNTIL_DONE,
});

export const { refundPayment, deadLetter } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '20 s',
  retry: UNTIL_DONE,
});

/** One quick try within the workflow task: a hiccup of Kafka. Other systems are told; no money and no unit waits for it. */
export const { publishOutcome: publishAtOnce } = proxyLocalActivities<OrderActivities>({
  startToCloseTimeout: '2 s',
  scheduleToCloseTimeout: '2 s',
  retry: { maximumAttempts: 1 },
});

export const { publishOutcome } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '10 s',
  retry: UNTIL_DONE,
});

/**
 * While the provider is away the order counts as under way, so ingest slows down. A refund that the provider refuses for an
 * hour is parked, as at a ledger that cannot be read: else some hundreds of them would stop ingest for good.
 */
export const { refundPayment: refundAtOnce } = proxyActivities<OrderActivities>({
  startToCloseTimeout: '20 s',
  scheduleToCloseTimeout: '1 hour',
  retry: { ...UNTIL_DONE, nonRetryableErrorTypes },
});
