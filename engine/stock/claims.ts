import { Cluster } from 'ioredis';
import type { Logger } from '../../platform/logger';
import type { Order } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { claimKey, claimValue, FINISHED_MARK } from './keys';
import { groupBy, resultsOf, runCommands, type Command, type Group } from './pipelines';
import { asOneArgument, defineClaimScripts } from './scripts';

/** An order by what its claim says. */
export type Claimed = Pick<Order, 'requestId' | 'itemId' | 'fingerprint'>;

export interface ClaimKeeper {
  /**
   * Lets the claims of accepted orders live as long as the orders, and makes those that are missing; the claim of another
   * request, and one that Redis refuses by itself, stays as it is. One round trip. Throws when Redis has not answered for
   * all; may be called again.
   */
  keepClaims(orders: readonly Claimed[]): Promise<void>;
}

/** Keeps the claims of orders that are carried on by others than the gateway, which may have died. */
export function createClaimKeeper(
  redis: RedisConnection,
  orderRetentionMs: number,
  logger: Logger,
): ClaimKeeper {
  defineClaimScripts(redis);
  return {
    async keepClaims(orders) {
      const groups = groupForClaims(redis, orders);
      const commands = groups.map((group) => keepCommand(group, orderRetentionMs));
      const replies = await runCommands(redis, commands);
      const unanswered = replies.find(([error]) => error)?.[0];
      if (unanswered) throw new Error('Redis did not keep every claim', { cause: unanswered });
      const kept = resultsOf(groups, replies, (found) => found as (number | Error)[]);
      // Its key holds something else. No retry changes that, and no commit may wait for it.
      const refused = kept.find((one) => one instanceof Error);
      if (refused) logger.error({ err: refused }, 'a claim cannot be kept');
    },
  };
}

/** Claims the request_id of an order. False when another request has the id: its claim stays as it is. */
export type ClaimOrder = (order: Claimed) => Promise<boolean>;

/**
 * For orders that do not come through the gateway; without a claim the order is not found, and its id is free for another
 * payload. A claim may be made again. Throws when Redis refuses it or gives no answer.
 */
export function createClaimOrder(redis: RedisConnection, orderRetentionMs: number): ClaimOrder {
  defineClaimScripts(redis);
  return async (order) => {
    const reply = await redis.keepClaims(
      1,
      claimKey(order.requestId),
      orderRetentionMs,
      claimValue(order),
      FINISHED_MARK,
    );
    const [kept] = reply as (number | Error)[];
    if (kept instanceof Error) throw kept;
    return kept === 1;
  };
}

export function keepCommand({ requests }: Group<unknown, Claimed>, ttlMs: number): Command {
  const keys = requests.map(({ requestId }) => claimKey(requestId));
  const values = asOneArgument(requests.map(claimValue));
  return ['keepClaims', keys.length, ...keys, ttlMs, values, FINISHED_MARK];
}

/**
 * Marks the claims of orders that leave their ledger, so that a repeated request is answered from the archive. A claim that is
 * missing is made for as long as it would have lived; the claim of another request stays as it is. The result has an Error
 * where Redis refuses or gives no answer. May be called again. Times are in ms since the epoch.
 */
export type FinishClaims = (
  orders: readonly (Claimed & { readonly claimUntil: number })[],
  now: number,
) => Promise<readonly (true | Error)[]>;

export function createFinishClaims(redis: RedisConnection): FinishClaims {
  defineClaimScripts(redis);
  return async (orders, now) => {
    const groups = groupForClaims(redis, orders);
    const commands = groups.map(({ requests }): Command => {
      const keys = requests.map(({ requestId }) => claimKey(requestId));
      const lives = requests.map(({ claimUntil }) => String(Math.max(0, claimUntil - now)));
      const values = asOneArgument(requests.map(claimValue));
      return ['finishClaims', keys.length, ...keys, values, FINISHED_MARK, asOneArgument(lives)];
    });
    const replies = await runCommands(redis, commands);
    const marked = resultsOf(groups, replies, (found) => found as (number | Error)[]);
    return marked.map((one) => (one instanceof Error ? one : true));
  };
}

/**
 * All claims in one call, since the client spends more on a command than on its bytes. On a Cluster one call for each
 * claim: a call touches one slot, and each claim has its own.
 */
export function groupForClaims<T extends Pick<Order, 'requestId'>>(
  redis: RedisConnection,
  requests: readonly T[],
): Group<string, T>[] {
  return groupBy(requests, redis instanceof Cluster ? ({ requestId }) => requestId : () => '');
}
