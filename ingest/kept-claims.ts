import { UnavailableError } from '../engine/kafka/consumer';
import type { Claimed, ClaimKeeper } from '../engine/stock/claims';

export type KeptClaims = ReturnType<typeof createKeptClaims>;

/** Few enough for one script: a few ms of Redis. */
const CLAIMS_AT_ONCE = 500;

/**
 * Keeps the claims of orders that ingest has started or found: the gateway may have died before it did. Written in
 * batches before their offsets are committed, so that no start waits for it and none is forgotten.
 */
export function createKeptClaims(keeper: ClaimKeeper) {
  let waiting: Claimed[] = [];
  return {
    keep({ requestId, itemId, fingerprint }: Claimed): void {
      // Not the order, of which the rest would be kept in memory.
      waiting.push({ requestId, itemId, fingerprint });
    },

    /** Keeps all claims that were given before. Throws UnavailableError when Redis does not answer. */
    async flush(): Promise<void> {
      const given = waiting;
      waiting = [];
      while (given.length > 0) {
        try {
          await keeper.keepClaims(given.slice(0, CLAIMS_AT_ONCE));
        } catch (error) {
          waiting = [...given, ...waiting];
          throw new UnavailableError('keeping claims has failed', { cause: error });
        }
        given.splice(0, CLAIMS_AT_ONCE);
      }
    },
  };
}
