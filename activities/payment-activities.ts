import { activityInfo, cancelled, heartbeat, sleep } from '@temporalio/activity';
import type { FollowedEvents } from '../engine/orders/contract';
import { followEvents } from '../engine/payments/follow-events';

export interface PaymentActivities {
  followPayments(from: FollowedEvents | undefined): Promise<FollowedEvents>;
}

/** Then the workflow begins a new run. */
const RUN_MS = 3_600_000;
const HEARTBEAT_MS = 10_000;

/** The reader of the provider's events, for a worker. A new attempt goes on where the last heartbeat was. */
export function createPaymentActivities(
  deps: Parameters<typeof followEvents>[0],
  {
    everyMs,
    stopping,
    onRead,
  }: {
    readonly everyMs: number;
    readonly stopping: AbortSignal;
    /** A page of the list was read, though some of it may wait. */
    readonly onRead: () => void;
  },
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
        // Switched off since the workflow was started, which goes on where it was when it is switched on again.
        if (everyMs === 0) {
          await end;
          return progress ?? { until: 0 };
        }
        return await followEvents(deps, progress, {
          everyMs,
          signal,
          onProgress: (made) => {
            progress = made;
            onRead();
          },
        });
      } finally {
        clearInterval(beating);
        ending.abort();
      }
    },
  };
}
