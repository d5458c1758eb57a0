import { setTimeout as sleep } from 'node:timers/promises';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { ItemId } from '../../engine/orders/order';

/** 16 KiB: thirty times the longest valid order, small enough to keep in memory for every connection at once. */
export const BODY_BYTES_MAX = 16 * 1024;

/** How often a shutdown looks whether everything in hand is done. */
const POLL_MS = 10;

export type InFlight = ReturnType<typeof createInFlight>;

/** Counts what is in hand, up to `max`, which may be Infinity for what is bounded elsewhere. */
export function createInFlight(max: number) {
  let count = 0;
  const isFull = () => count >= max;

  return {
    count: () => count,
    isFull,
    /** False, and not counted, when full. After a true the caller must call `leave` once. */
    enter: () => {
      if (isFull()) return false;
      count += 1;
      return true;
    },
    leave: () => {
      count -= 1;
    },
    /** Resolves with true once nothing is in hand, or with false after `boundMs`. */
    whenEmpty: async (boundMs: number): Promise<boolean> => {
      const deadline = performance.now() + boundMs;
      while (count > 0 && performance.now() < deadline) await sleep(POLL_MS);
      return count === 0;
    },
  };
}

/** A sweep every 1/20 of the length: a deadline 5 % late harms nobody, and the sweeps cost nothing. */
const SWEEPS_PER_LENGTH = 20;

/**
 * One timer for thousands of deadlines of `lengthMs`. They all have the same length, so they expire in the order in which
 * they start. The timer runs only while a deadline is open and does not keep the process alive. Beyond `openMax` the first
 * one expires early, and `onFull` is called.
 */
export function createDeadlines(
  lengthMs: number,
  { openMax, onFull }: { readonly openMax: number; readonly onFull?: () => void } = {
    openMax: Infinity,
  },
) {
  const open = new Set<{ readonly at: number; readonly expire: () => void }>();
  let timer: NodeJS.Timeout | undefined;

  const sweep = () => {
    const now = performance.now();
    for (const deadline of open) {
      if (deadline.at > now) break;
      open.delete(deadline);
      deadline.expire();
    }
    if (open.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };

  return {
    /** Calls `expire` once the time has passed, up to one sweep late. Returns a function that cancels it. */
    start: (expire: () => void): (() => void) => {
      if (open.size >= openMax) {
        const [first] = open;
        if (first) {
          open.delete(first);
          onFull?.();
          first.expire();
        }
      }
      const deadline = { at: performance.now() + lengthMs, expire };
      open.add(deadline);
      timer ??= setInterval(sweep, Math.max(1, lengthMs / SWEEPS_PER_LENGTH)).unref();
      return () => open.delete(deadline);
    },
  };
}

/** Returns a function that is true at most `perSecond` times in each second. */
export function createBudget(perSecond: number, now: () => number = () => performance.now()) {
  let second = -Infinity;
  let used = 0;
  return (): boolean => {
    if (now() - second >= 1_000) {
      second = now();
      used = 0;
    }
    used += 1;
    return used <= perSecond;
  };
}

/** Counts kept at once for each limit: some tens of MB. A count lives for as long as the limit is set to. */
const COUNTS_MAX = 100_000;

export interface RateLimitOptions {
  /** Of one client. */
  readonly requests: number | undefined;
  /** Of one client for one item. */
  readonly itemRequests: number | undefined;
  readonly seconds: number;
}

export type RateLimit = ReturnType<typeof createRateLimit>;

/**
 * Allows each client so many requests within so many seconds of the first of them, altogether and for each item. It counts
 * in the memory of this process, so a decision costs no round trip; behind N gateways a client may send N times as many.
 */
export function createRateLimit(
  { requests, itemRequests, seconds }: RateLimitOptions,
  countsMax = COUNTS_MAX,
) {
  const ofClient = requests === undefined ? undefined : createLimit(requests, seconds, countsMax);
  const ofItem =
    itemRequests === undefined ? undefined : createLimit(itemRequests, seconds, countsMax);
  /** Counts one request. Undefined when it may pass, else the milliseconds until the next one may. */
  return async (client: string, itemId: ItemId): Promise<number | undefined> =>
    (await ofClient?.(client)) ?? ofItem?.(`${client} ${itemId}`);
}

/**
 * Counts one use of a key, of which there may be `points` within so many seconds. Undefined when it may pass, else the
 * milliseconds until the next one may. Beyond `countsMax` the key that was seen first is forgotten: keys can be invented, if
 * only as item_ids.
 */
export function createLimit(points: number, seconds: number, countsMax = COUNTS_MAX) {
  const limiter = new RateLimiterMemory({ points, duration: seconds });
  const keys = new Set<string>();
  return async (key: string): Promise<number | undefined> => {
    keys.add(key);
    const [first] = keys;
    if (keys.size > countsMax && first !== undefined) {
      keys.delete(first);
      await limiter.delete(first);
    }
    try {
      await limiter.consume(key);
      return undefined;
    } catch (error) {
      if (error instanceof RateLimiterRes) return error.msBeforeNext;
      throw error;
    }
  };
}
