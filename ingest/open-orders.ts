import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '../engine/kafka/consumer';

/** Keeps the number of orders under way near a bound, so that a burst drains steadily through the worker's cache. */
export interface OpenOrders {
  /** Waits for room and takes it. Throws UnavailableError when the count cannot be had or `signal` ends the wait. */
  enter(signal: AbortSignal): Promise<void>;
  /** Ends what `enter` began: `opened` when a workflow was started. */
  leave(opened: boolean): void;
  /** Orders under way, as far as is known here. */
  readonly estimate: number;
}

export interface OpenOrdersOptions {
  readonly max: number;
  /** Asks the server; an answer may be a second or more behind what happened. */
  readonly countOpen: () => Promise<number>;
  /** How long an answer is good for, in ms. A second of starts is small against any sensible bound. */
  readonly countEveryMs?: number;
  readonly now?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Counts what the server says plus what was started here since it was asked, and asks again only while somebody wants
 * in. The bound holds approximately: the server's count lags, and other copies of this process are seen only through it.
 */
export function createOpenOrders(options: OpenOrdersOptions): OpenOrders {
  const { max, countOpen, countEveryMs = 1_000, now = Date.now, wait = waitFor } = options;
  let counted = 0;
  let countedAt = -Infinity;
  /** Started since the last count was asked for. */
  let openedSince = 0;
  /** Let in, and not known yet whether they became workflows. */
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
    enter: async (signal) => {
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
    leave: (opened) => {
      entering--;
      if (opened) openedSince++;
    },
    get estimate() {
      return estimate();
    },
  };
}

async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
