import type { EachBatchPayload } from 'kafkajs';
import { RefusedError } from '../engine/archive/store';
import { createRepeatFilter, type Logger } from '../platform/logger';
import { describeError } from '../platform/user-error';
import type { ArchiveMetrics } from './metrics';

/** kafkajs sends one at most as often as its own setting says. */
const HEARTBEAT_EVERY_MS = 1_000;

/** PostgreSQL may be away for hours, and is in use again seconds after it is back. */
const RETRY_DELAY_MS = { min: 250, max: 5_000 };

/** A batch in hand: what is used of kafkajs's payload. */
export type Delivery = Pick<
  EachBatchPayload,
  'resolveOffset' | 'heartbeat' | 'commitOffsetsIfNecessary' | 'isRunning' | 'isStale'
> & {
  readonly batch: Pick<
    EachBatchPayload['batch'],
    'topic' | 'partition' | 'messages' | 'highWatermark' | 'lastOffset'
  >;
};

/** The batch is not to be archived now. It is delivered again, to this process or to another one. */
export class Interruption extends Error {
  override readonly name = 'Interruption';
}

/** Whether to go on with a batch: the process does not stop, and reading was not sent elsewhere. */
export function isCurrent(delivery: Delivery): boolean {
  return delivery.isRunning() && !delivery.isStale();
}

/** The result of some work, however long it takes: the membership in the group is kept. Throws an Interruption in between. */
export async function alive<T>(delivery: Delivery, work: Promise<T>): Promise<T> {
  const settled = work.then(
    () => true,
    () => true,
  );
  for (;;) {
    const tick = timer(HEARTBEAT_EVERY_MS);
    const isSettled = await Promise.race([settled, tick.over.then(() => false)]);
    tick.cancel();
    if (isSettled) return work;
    await delivery.heartbeat();
    if (!isCurrent(delivery)) throw new Interruption();
  }
}

function timer(ms: number) {
  let timeout: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    timeout = setTimeout(resolve, ms);
  });
  return {
    over,
    cancel: () => {
      clearTimeout(timeout);
    },
  };
}

/** Repeats calls to PostgreSQL, however long it is away. */
export function createRetries({
  metrics,
  logger,
}: {
  readonly metrics: Pick<ArchiveMetrics, 'faults'>;
  readonly logger: Logger;
}) {
  const isNews = createRepeatFilter();
  let isBlocked = false;
  return {
    /** The result of a call. Throws what PostgreSQL has against a record, which no repetition changes. */
    retried: async <T>(delivery: Delivery, attempt: () => Promise<T>): Promise<T> => {
      for (
        let delayMs = RETRY_DELAY_MS.min;
        ;
        delayMs = Math.min(2 * delayMs, RETRY_DELAY_MS.max)
      ) {
        const outcome = await alive(
          delivery,
          attempt().then(
            (value) => ({ value }),
            (error: unknown) => ({ error }),
          ),
        );
        if ('value' in outcome) {
          if (isBlocked) logger.info('archiving goes on');
          isBlocked = false;
          return outcome.value;
        }
        const { error } = outcome;
        if (error instanceof RefusedError) throw error;
        isBlocked = true;
        metrics.faults.inc({ kind: 'database' });
        if (isNews(describeError(error))) logger.warn({ err: error }, 'cannot archive: retrying');
        await alive(delivery, timer(delayMs).over);
      }
    },
    /** Whether the last call had no answer. */
    get isBlocked(): boolean {
      return isBlocked;
    },
    /** Another process has what was to be repeated here. */
    reset: (): void => {
      isBlocked = false;
    },
  };
}
