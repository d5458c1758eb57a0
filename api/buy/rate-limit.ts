import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import type { UserId } from '../../engine/orders/order';

/** How often one user may ask: so many requests within so many seconds of the first of them. */
export interface RateLimitOptions {
  readonly requests: number;
  readonly seconds: number;
}

export interface RateLimit {
  /** Counts one request. Undefined when it may pass, else the milliseconds until the next one may. */
  readonly waitMs: (userId: UserId) => Promise<number | undefined>;
}

/**
 * Limits each user within this process, in its memory: a decision costs no round trip and comes before any work for the
 * request. Behind N gateways a user may therefore ask up to N times as often, which is still no crowd.
 */
export function createRateLimit({ requests, seconds }: RateLimitOptions): RateLimit {
  const limiter = new RateLimiterMemory({ points: requests, duration: seconds });
  return {
    waitMs: async (userId) => {
      try {
        await limiter.consume(userId);
        return undefined;
      } catch (refusal) {
        if (refusal instanceof RateLimiterRes) return refusal.msBeforeNext;
        throw refusal;
      }
    },
  };
}
