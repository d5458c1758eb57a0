import type { RedisConnection } from '../platform/redis';
import type { Queued } from './admission';
import { claimKey, claimValue } from './keys';

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
