import type { HoldResult } from '../orders/ledger';
import type { ItemId, Price } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import type { Admission, Attempt, Queued, RequestOf, Undo, Verdict } from './admission';
import { parseHoldResults, parseRejectResult } from './results';
import { makeClaims, prolongClaims } from './claims';
import { groupBy, handOut, NO_ANSWER, type Group } from './groups';
import { claimKey, claimValue, countsKey, itemKeys, ordersKey, rejectionsKey } from './keys';
import { NO_REPLY, runCommands, type Command } from './pipelines';
import { asOneArgument, defineAdmissionScripts } from './scripts';

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

/** The gateway's side of the ledger on Redis. `redis` should be a connection that fails fast, and nobody else's. */
export function createAdmission(redis: RedisConnection, options: AdmissionOptions): Admission {
  defineAdmissionScripts(redis);
  const leaseMs = options.holdLeaseMs ?? HOLD_LEASE_MS;

  return {
    async claimAndHold(attempts) {
      const groups = groupByItem(attempts);
      const made = makeClaims(redis, attempts, options.claimTtlMs);
      const replies = await runCommands(redis, [
        ...made.commands,
        ...groups.map((group) => hold(group, leaseMs, options.defaultPrice)),
      ]);
      const claims = made.read(replies);
      const holds = handOut(groups, replies.slice(made.commands.length), parseHoldResults);
      const refused = attempts.filter((_, i) => wasRefused(claims[i], holds[i]));
      // Without an answer these claims end by themselves, later.
      if (refused.length > 0) await runCommands(redis, refused.map(dropClaim));
      return attempts.map((attempt, i) => toVerdict(attempt, claims[i], holds[i]));
    },

    areKnown: (requests) => areKnown(redis, requests),

    async undo(attempts) {
      const commands = attempts.flatMap((attempt): Command[] => [
        ...(attempt.undoHold ? [undoHold(attempt)] : []),
        ...(attempt.dropClaim ? [dropClaim(attempt)] : []),
      ]);
      const failed = (await runCommands(redis, commands)).find(([error]) => error !== null);
      if (failed) throw new Error('Redis did not undo every attempt', { cause: failed[0] });
    },

    async queue(orders) {
      const groups = groupByItem(orders);
      const kept = prolongClaims(redis, orders, options.orderRetentionMs);
      const replies = await runCommands(redis, [
        ...groups.map(({ key: itemId, members }): Command => [
          'ledgerQueue',
          ...itemKeys(itemId),
          asOneArgument(members.map(({ order }) => order.requestId)),
        ]),
        ...kept.commands,
      ]);
      const claims = kept.read(replies.slice(groups.length));
      const answers = handOut(groups, replies, (result) =>
        (result as number[]).map((known) => known === 1),
      );
      const unclaimed = orders.filter((_, i) => claims[i] === 0);
      if (unclaimed.length > 0) {
        const claims = unclaimed.map((order) => claimAnew(order, options.orderRetentionMs));
        await runCommands(redis, claims);
      }
      return answers;
    },

    async reject(requests) {
      const replies = await runCommands(
        redis,
        requests.map(({ itemId, requestId }): Command => [
          'ledgerReject',
          ...itemKeys(itemId),
          ...[rejectionsKey(itemId), requestId, options.orderRetentionMs],
        ]),
      );
      return replies.map(([error, reply]) => error ?? parseRejectResult(reply));
    },
  };
}

async function areKnown(
  redis: RedisConnection,
  requests: readonly RequestOf[],
): Promise<(boolean | Error)[]> {
  const groups = groupByItem(requests);
  // Each is enough: a claim may have been dropped by a rejected twin, an entry belongs to one item, and both are gone where
  // the ledger is lost.
  const commands = [
    ...requests.map(hasClaim),
    ...groups.map(findEntries),
    ...groups.map(isLedgerOpen),
  ];
  const replies = await runCommands(redis, commands);
  const entries = handOut(groups, replies.slice(requests.length), (found) =>
    (found as unknown[]).map((entry) => entry !== null),
  );
  const lost = handOut(
    groups,
    replies.slice(requests.length + groups.length),
    (open, { members }) => members.map(() => open !== 1),
  );
  return requests.map((_, i): boolean | Error => {
    const [error, claimed] = replies[i] ?? NO_REPLY;
    return error ?? (claimed === 1 || entries[i] || (lost[i] ?? NO_ANSWER));
  });
}

function hasClaim({ requestId }: RequestOf): Command {
  return ['exists', claimKey(requestId)];
}

function findEntries({ key: itemId, members }: ItemGroup<RequestOf>): Command {
  return ['hmget', ordersKey(itemId), ...members.map(({ order }) => order.requestId)];
}

function isLedgerOpen({ key: itemId }: ItemGroup<RequestOf>): Command {
  return ['hexists', countsKey(itemId), 'opened'];
}

function hold(
  { key: itemId, members }: ItemGroup<Attempt>,
  leaseMs: number,
  { priceMinor, currency }: Price,
): Command {
  return [
    'ledgerHold',
    ...itemKeys(itemId),
    ...[leaseMs, priceMinor, currency],
    asOneArgument(
      members.map(
        ({ order: { requestId, userId, amount, fingerprint, token } }) =>
          `${requestId} ${userId} ${amount} ${fingerprint} ${token}`,
      ),
    ),
  ];
}

function undoHold({ itemId, requestId, token }: Undo): Command {
  return ['ledgerUndo', ...itemKeys(itemId), requestId, token];
}

function dropClaim({ requestId }: Pick<Undo, 'requestId'>): Command {
  return ['del', claimKey(requestId)];
}

/** Where a rejected twin of the request has just dropped the claim; another request's is left alone. */
function claimAnew(order: Queued, retentionMs: number): Command {
  return ['set', claimKey(order.requestId), claimValue(order), 'PX', retentionMs, 'NX'];
}

type ItemGroup<T> = Group<ItemId, T>;

function groupByItem<T extends RequestOf>(orders: readonly T[]): ItemGroup<T>[] {
  return groupBy(orders, ({ itemId }) => itemId);
}

/** What a claim said before it was made; null where it is new. */
type Claim = string | null;

/**
 * Whether this attempt made its claim and the script then refused to hold, because somebody has written nonsense into the
 * item's keys. That is a definite answer, after which the claim must not stand in the way of the buyer's next try.
 */
function wasRefused(claim?: Claim | Error, hold: HoldResult | Error = NO_ANSWER): boolean {
  return claim === null && hold instanceof Error && /^BAD(STOCK|SALE) /.test(hold.message);
}

function toVerdict(
  attempt: Attempt,
  claim: Claim | Error = NO_ANSWER,
  hold: HoldResult | Error = NO_ANSWER,
): Verdict | Error {
  if (claim instanceof Error) return claim;
  if (hold instanceof Error) return hold;
  return {
    claim: claim === null ? 'new' : claim === claimValue(attempt) ? 'same' : 'other',
    hold,
  };
}
