import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { createPaymentActivities, type PaymentActivities } from '../activities/payment-activities';
import { PAYMENT_EVENTS_WORKFLOW } from '../engine/orders/contract';
import type { ActOnHint } from '../engine/payments/payment-hints';
import type { PaymentEvents } from '../engine/payments/payment-provider';
import type { WorkerConfig } from '../platform/config';
import type { Logger } from '../platform/logger';
import { sharedGauge } from '../platform/metrics';

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
  const onFailure: Parameters<typeof createPaymentActivities>[0]['onFailure'] = (
    eventId,
    error,
    { isGivenUp },
  ) => {
    const fields = { eventId, err: error };
    if (isGivenUp) logger.error(fields, 'an event of the payment provider is given up');
    else logger.warn(fields, 'an event of the payment provider waits');
  };
  const everyMs = config.paymentEventsEveryMs;
  return createPaymentActivities(
    { events, act, onFailure },
    { everyMs, stopping, onRead: everyMs === 0 ? () => undefined : createReadGauge() },
  );
}

/** When the list was read last, by this process; before that, when the process was started: an alert asks how long ago it is. */
function createReadGauge(): () => void {
  const read = sharedGauge({
    name: 'flash_sale_payment_events_read_timestamp_seconds',
    help: "When this worker last read the payment provider's list of events, or was started",
  });
  read.setToCurrentTime();
  return () => {
    read.setToCurrentTime();
  };
}

/** How often it is made sure that the reader runs: an operator may have terminated it. */
const START_EVERY_MS = 60_000;

/**
 * Lets Temporal start the reader of those events where it does not run, until `stopping`: one per task queue, whose workers
 * share a provider. While that fails, orders are confirmed by webhooks, and at their deadlines.
 */
export async function keepPaymentEvents(
  client: Client,
  { taskQueue, paymentEventsEveryMs }: Pick<WorkerConfig, 'taskQueue' | 'paymentEventsEveryMs'>,
  { stopping, logger }: { readonly stopping: AbortSignal; readonly logger: Logger },
  everyMs = START_EVERY_MS,
): Promise<void> {
  if (paymentEventsEveryMs === 0) return;
  const workflowId = `payment-events/${taskQueue}`;
  while (!stopping.aborted) {
    await client.workflow
      .start(PAYMENT_EVENTS_WORKFLOW, { workflowId, taskQueue, args: [] })
      .catch((error: unknown) => {
        if (error instanceof WorkflowExecutionAlreadyStartedError) return;
        logger.error({ err: error }, "nobody follows the payment provider's events");
      });
    await sleep(everyMs, undefined, { signal: stopping, ref: false }).catch(() => undefined);
  }
}
