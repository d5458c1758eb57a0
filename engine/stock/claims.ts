import { Cluster } from 'ioredis';
import type { RedisConnection } from '../../platform/redis';
import type { Queued } from './admission';
import { groupBy, handOut } from './groups';
import { claimKey, claimValue } from './keys';
import type { Command, Reply } from './pipelines';
import { asOneArgument } from './scripts';

/** Commands that stand for several requests, and what their replies say of each. */
export interface ClaimCommands<A> {
  readonly commands: readonly Command[];
  /** `replies` are those to `commands`, in their order. */
  readonly read: (replies: readonly Reply[]) => (A | Error)[];
}

/**
 * Claims each request_id for `ttlMs`. Of each is read what its claim said before: null when it is new. Many are one
 * call, since the client spends more on a command than on its bytes.
 */
export function makeClaims(
  redis: RedisConnection,
  requests: readonly Queued[],
  ttlMs: number,
): ClaimCommands<string | null> {
  return inFewCalls(redis, requests, (group) => [
    ...(['claim', group.length] as const),
    ...group.map(({ requestId }) => claimKey(requestId)),
    ...[ttlMs, asOneArgument(group.map(claimValue))],
  ]);
}

/** Lets claims live for `retentionMs` from now on. Of each is read whether there was one: 1 or 0. */
export function prolongClaims(
  redis: RedisConnection,
  requests: readonly Queued[],
  retentionMs: number,
): ClaimCommands<number> {
  return inFewCalls(redis, requests, (group) => [
    ...(['prolongClaims', group.length] as const),
    ...group.map(({ requestId }) => claimKey(requestId)),
    retentionMs,
  ]);
}

/** One call for all, but on a Cluster one for each id: claims lie in slots of their own, and a call touches one slot. */
function inFewCalls<A>(
  redis: RedisConnection,
  requests: readonly Queued[],
  toCommand: (group: readonly Queued[]) => Command,
): ClaimCommands<A> {
  const keyOf = redis instanceof Cluster ? ({ requestId }: Queued) => requestId : () => undefined;
  const groups = groupBy(requests, keyOf);
  return {
    commands: groups.map(({ members }) => toCommand(members.map(({ order }) => order))),
    read: (replies) => handOut(groups, replies, (found) => found as (A | Error)[]),
  };
}

/**
 * Claims the request_id of an order that does not come through the gateway, for as long as an accepted order's claim
 * lives; without one nobody finds the order, and its id is free for another payload. False when the id belongs to
 * another request, whose claim stays as it is. May be called again.
 */
export async function claimOrder(
  redis: RedisConnection,
  order: Queued,
  retentionMs: number,
): Promise<boolean> {
  const key = claimKey(order.requestId);
  const value = claimValue(order);
  const before = await redis.set(key, value, 'PX', retentionMs, 'NX', 'GET');
  if (before !== null && before !== value) return false;
  // A claim that an undecided request has left may be about to end.
  await redis.pexpire(key, retentionMs);
  return true;
}
