import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { activityInfo, cancelled, heartbeat, sleep } from '@temporalio/activity';
import { PAYMENT_EVENTS_WORKFLOW } from '../engine/orders/contract';
import { followEvents, type FollowedEvents } from '../engine/payments/follow-events';

export interface PaymentActivities {
  followPayments(from: FollowedEvents | undefined): Promise<FollowedEvents>;
}

/** Then the workflow begins a new run. */
const RUN_MS = 3_600_000;
const HEARTBEAT_MS = 10_000;

/** The reader of the provider's events, for a worker. A new attempt goes on where the last heartbeat was. */
export function createPaymentActivities(
  deps: Parameters<typeof followEvents>[0],
  { everyMs, stopping }: { readonly everyMs: number; readonly stopping: AbortSignal },
): PaymentActivities {
  return {
    async followPayments(from) {
      let progress = (activityInfo().heartbeatDetails as FollowedEvents | undefined) ?? from;
      const ending = new AbortController();
      const signal = AbortSignal.any([ending.signal, stopping]);
      const beating = setInterval(() => {
        heartbeat(progress);
      }, HEARTBEAT_MS);
      const end = Promise.race([sleep(RUN_MS), cancelled()]).catch(() => undefined);
      void end.then(() => {
        ending.abort();
      });
      try {
        return await followEvents(deps, progress, {
          everyMs,
          signal,
          onProgress: (made) => {
            progress = made;
          },
        });
      } finally {
        clearInterval(beating);
        ending.abort();
      }
    },
  };
}

/** Starts the reader of the provider's events, unless it runs: one per task queue, whose workers share a provider. */
export async function startPaymentEvents(client: Client, taskQueue: string): Promise<void> {
  try {
    await client.workflow.start(PAYMENT_EVENTS_WORKFLOW, {
      workflowId: `payment-events/${taskQueue}`,
      taskQueue,
      args: [],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
