import type { ChainableCommander, Redis } from 'ioredis';
import type { ItemId, Price } from '../domain/order';
import type { Admission, Attempt, Queued, Verdict } from './admission';
import { parseHoldAnswer } from './answers';
import { claimKey, claimValue, itemKeys } from './keys';
import { defineLedgerScripts } from './scripts';

/**
 * 15 s: longer than everything a live attempt may spend between its hold and `queue` (two Redis commands of 2 s and
 * the Kafka deadline of 4 s), short enough that a dead gateway's units are on sale again before the crowd has left.
 */
export const HOLD_LEASE_MS = 15_000;

export interface AdmissionOptions {
  /** How long a claim lives while its order is not accepted. */
  readonly claimTtlMs: number;
  /** How long a claim lives once its order is accepted. */
  readonly orderRetentionMs: number;
  /** For items whose sale names no price. */
  readonly defaultPrice: Price;
  readonly holdLeaseMs?: number;
}

type Reply = [error: Error | null, result: unknown];

/** The gateway's side of the ledger on Redis. `redis` should be a connection that fails fast. */
export function createAdmission(redis: Redis, options: AdmissionOptions): Admission {
  defineLedgerScripts(redis);
  const leaseMs = options.holdLeaseMs ?? HOLD_LEASE_MS;

  return {
    async claimAndHold(attempts) {
      const pipeline = redis.pipeline();
      for (const attempt of attempts) {
        pipeline.set(
          claimKey(attempt.requestId),
          claimValue(attempt),
          'PX',
          options.claimTtlMs,
          'NX',
          'GET',
        );
        pipeline.ledgerHold(
          ...itemKeys(attempt.itemId),
          ...holdArguments(attempt, leaseMs, options.defaultPrice),
        );
      }
      const replies = await run(pipeline);
      return attempts.map((attempt, i) => toVerdict(attempt, replies[2 * i], replies[2 * i + 1]));
    },

    async undo(attempts) {
      const pipeline = redis.pipeline();
      for (const attempt of attempts) {
        if (attempt.undoHold) {
          pipeline.ledgerUndo(...itemKeys(attempt.itemId), attempt.requestId, attempt.token);
        }
        if (attempt.dropClaim) pipeline.del(claimKey(attempt.requestId));
      }
      const failed = (await run(pipeline)).find(([error]) => error !== null);
      if (failed) throw new Error('Redis did not undo every attempt', { cause: failed[0] });
    },

    async queue(orders) {
      const groups = groupByItem(orders);
      const pipeline = redis.pipeline();
      for (const { itemId, members } of groups) {
        pipeline.ledgerQueue(...itemKeys(itemId), ...members.map(({ order }) => order.requestId));
      }
      // Written anew where a rejected twin of the request has just dropped it; another request's claim is left alone.
      for (const order of orders) {
        const key = claimKey(order.requestId);
        pipeline.set(key, claimValue(order), 'PX', options.orderRetentionMs, 'NX');
        pipeline.pexpire(key, options.orderRetentionMs);
      }
      const replies = await run(pipeline);
      const answers: (boolean | Error)[] = [];
      groups.forEach(({ members }, group) => {
        const [error, result] = replies[group] ?? NO_REPLY;
        members.forEach(({ index }, i) => {
          answers[index] = error ?? (result as number[])[i] === 1;
        });
      });
      return answers;
    },
  };
}

/** Runs a pipeline; a pipeline that fails as a whole gives its error for each of its commands. */
async function run(pipeline: ChainableCommander): Promise<Reply[]> {
  const commands = pipeline.length;
  try {
    return (await pipeline.exec()) ?? [];
  } catch (error) {
    return Array.from({ length: commands }, (): Reply => [asError(error), null]);
  }
}

/** One script call serves all orders of an item; `index` is each order's place in the answer. */
function groupByItem(orders: readonly Queued[]) {
  const groups = new Map<ItemId, { itemId: ItemId; members: { order: Queued; index: number }[] }>();
  orders.forEach((order, index) => {
    const group = groups.get(order.itemId) ?? { itemId: order.itemId, members: [] };
    group.members.push({ order, index });
    groups.set(order.itemId, group);
  });
  return [...groups.values()];
}

const NO_REPLY: Reply = [new Error('Redis gave no reply'), null];

function holdArguments(attempt: Attempt, leaseMs: number, price: Price) {
  const { requestId, userId, amount, fingerprint, token } = attempt;
  return [requestId, userId, amount, fingerprint, token, leaseMs, price.priceMinor, price.currency];
}

function toVerdict(attempt: Attempt, claim = NO_REPLY, hold = NO_REPLY): Verdict | Error {
  if (claim[0]) return claim[0];
  if (hold[0]) return hold[0];
  return {
    claim: claim[1] === null ? 'new' : claim[1] === claimValue(attempt) ? 'same' : 'other',
    hold: parseHoldAnswer(hold[1]),
  };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
