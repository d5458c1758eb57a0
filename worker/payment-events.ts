import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { createPaymentActivities, type PaymentActivities } from '../activities/payment-activities';
import { PAYMENT_EVENTS_WORKFLOW } from '../engine/orders/contract';
import type { ActOnHint } from '../engine/payments/payment-hints';
import type { PaymentEvents } from '../engine/payments/payment-provider';
import type { WorkerConfig } from '../platform/config';
import type { Logger } from '../platform/logger';

/** The activity that follows the provider's own list of events. */
export function followPaymentEvents(
  events: PaymentEvents,
  act: ActOnHint,
  parts: {
    readonly config: WorkerConfig;
    readonly stopping: AbortSignal;
    readonly logger: Logger;
  },
): PaymentActivities {
  const { config, stopping, logger } = parts;
  const onFailure = (eventId: string, error: unknown) => {
    logger.warn({ eventId, err: error }, 'an event of the payment provider waits');
  };
  const everyMs = config.paymentEventsEveryMs;
  return createPaymentActivities({ events, act, onFailure }, { everyMs, stopping });
}

/**
 * Lets Temporal start the reader of those events, unless it runs: one per task queue, whose workers share a provider. If that
 * fails, orders are confirmed by webhooks, and at their deadlines.
 */
export function startPaymentEvents(client: Client, config: WorkerConfig, logger: Logger): void {
  const { taskQueue, paymentEventsEveryMs } = config;
  if (paymentEventsEveryMs === 0) return;
  const workflowId = `payment-events/${taskQueue}`;
  client.workflow
    .start(PAYMENT_EVENTS_WORKFLOW, { workflowId, taskQueue, args: [] })
    .catch((error: unknown) => {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return;
      logger.error({ err: error }, "nobody follows the payment provider's events");
    });
}
