import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '../engine/kafka/consumer';

export type OpenOrders = ReturnType<typeof createOpenOrders>;

/**
 * Keeps the number of orders under way near `max`, so that a burst drains steadily through the worker's cache. Counts
 * what the server says plus what this process started since, and asks the server only while a start waits. The bound is
 * approximate: the server's count lags, and other ingest processes are only seen through it.
 */
export function createOpenOrders(options: {
  readonly max: number;
  /** Asks the server. The result may be a second or more old. */
  readonly countOpen: () => Promise<number>;
  /** How long a count stays valid, in ms. A second of starts is few against any sensible bound. */
  readonly countEveryMs?: number;
  readonly now?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}) {
  const {
    max,
    countOpen,
    countEveryMs = 1_000,
    now = Date.now,
    wait = sleepUntilAborted,
  } = options;
  let counted = 0;
  let countedAt = -Infinity;
  /** Started since the last count was asked for. */
  let openedSince = 0;
  /** Admitted, and not known yet whether they became workflows. */
  let entering = 0;
  let counting: Promise<void> | undefined;
  const estimate = () => counted + openedSince + entering;

  async function count(): Promise<void> {
    const askedAt = now();
    const openedBefore = openedSince;
    try {
      counted = await countOpen();
      countedAt = askedAt;
      openedSince -= openedBefore;
    } finally {
      counting = undefined;
    }
  }

  return {
    /** Waits for room and takes it. Throws UnavailableError when the count fails or `signal` ends the wait. */
    enter: async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        if (now() - countedAt >= countEveryMs) await (counting ??= count());
        if (estimate() < max) {
          entering++;
          return;
        }
        await wait(countEveryMs, signal);
      }
      throw new UnavailableError('stopped while waiting for open orders to finish');
    },
    /** Ends what `enter` began. `opened`: a workflow was started. */
    leave: (opened: boolean): void => {
      entering--;
      if (opened) openedSince++;
    },
    /** Orders under way, as far as this process knows. */
    get estimate() {
      return estimate();
    },
  };
}

/** Rejects only when the signal fires, which ends the wait early. */
async function sleepUntilAborted(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
