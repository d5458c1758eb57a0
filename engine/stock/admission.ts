import type { HoldResult, RejectResult } from '../orders/ledger';
import type { ItemId, OrderId, Price, Purchase } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { groupForClaims, keepCommand } from './claims';
import {
  claimKey,
  claimValue,
  countsKey,
  FINISHED_MARK,
  itemKeys,
  ordersKey,
  rejectionsKey,
} from './keys';
import {
  groupBy,
  NO_REPLY,
  NO_RESULT,
  resultsOf,
  runCommands,
  type Command,
  type Group,
} from './pipelines';
import { parseHoldResults, parseRejectResult } from './results';
import { asOneArgument, defineAdmissionScripts, NO_ORDER_ID } from './scripts';

/**
 * One attempt to admit a purchase. `token` names the attempt, and no other one ever: only the attempt that made a hold may
 * undo it, and an order keeps the token of its first attempt as its order id.
 */
export interface Attempt extends Purchase {
  readonly fingerprint: string;
  readonly token: string;
}

/** What Redis says of an attempt: whose the id is, and whether there are units. */
export interface Verdict {
  /**
   * `new`: this attempt made the claim; `same`: an earlier attempt of this request did; `finished`: that one's order has left
   * the ledger; `other`: another request did.
   */
  readonly claim: 'new' | 'same' | 'finished' | 'other';
  readonly hold: HoldResult;
}

/** A request by its names alone. */
export type RequestOf = Pick<Purchase, 'requestId' | 'itemId'>;

export interface Undo extends RequestOf {
  readonly fingerprint: string;
  readonly token: string;
  readonly undoHold: boolean;
  readonly dropClaim: boolean;
}

export interface Queued extends RequestOf {
  readonly orderId?: OrderId | undefined;
  readonly fingerprint: string;
}

/**
 * The gateway's side of the ledger. Every method is one round trip, whatever the number of requests. An element of a
 * result is an Error when Redis gave no answer for that request.
 */
export interface Admission {
  /**
   * Claims each request_id and holds its units, in one pipeline; a request that has an earlier attempt's claim and no entry
   * costs a second look at the claim. After an Error nothing is known of the attempt; a hold that it made ends with its lease.
   */
  claimAndHold(attempts: readonly Attempt[]): Promise<readonly (Verdict | Error)[]>;
  /**
   * Whether there is a claim or an entry of each request. An unknown request is no order, accepted or under way, and its
   * id is free. While the item's ledger is not open this cannot be told: every request counts as known.
   */
  areKnown(requests: readonly RequestOf[]): Promise<readonly (boolean | Error)[]>;
  /**
   * Gives back what these attempts still hold, and drops the claims that they made, except where another attempt of the
   * request has been accepted since.
   */
  undo(attempts: readonly Undo[]): Promise<void>;
  /**
   * After the Kafka ack: held → queued, and the claims live as long as the orders. False: the entry is gone, since its
   * lease ended and its units were reclaimed, or it is a later order's; such an order is not accepted.
   */
  queue(orders: readonly Queued[]): Promise<readonly (boolean | Error)[]>;
  /**
   * Before the rejection of a request of which the log may have a record: from then on no record of it takes a unit,
   * unless its buyer asks again and gets a hold. Writes nothing where there is an order by now.
   */
  reject(requests: readonly RequestOf[]): Promise<readonly (RejectResult | Error)[]>;
}

/**
 * 15 s: longer than everything a live attempt may spend between its hold and `queue` (two Redis commands of 2 s and
 * the Kafka deadline of 4 s), short enough that a dead gateway's units are on sale again before the crowd has left.
 */
export const HOLD_LEASE_MS = 15_000;

/** Admission on Redis. `redis` should be a connection of its own that fails fast. */
export function createAdmission(
  redis: RedisConnection,
  options: {
    /** How long a claim lives while its order is not accepted. */
    readonly claimTtlMs: number;
    /** How long a claim lives once its order is accepted. */
    readonly orderRetentionMs: number;
    /** For items whose sale has no price. */
    readonly defaultPrice: Price;
    readonly holdLeaseMs?: number;
  },
): Admission {
  defineAdmissionScripts(redis);
  const { claimTtlMs, orderRetentionMs, defaultPrice, holdLeaseMs = HOLD_LEASE_MS } = options;

  const dropClaims = (requests: readonly Queued[]) =>
    groupForClaims(redis, requests).map(({ requests: all }): Command => {
      const keys = all.map(({ requestId }) => claimKey(requestId));
      const values = asOneArgument(all.map(claimValue));
      return ['dropClaims', keys.length, ...keys, claimTtlMs, values];
    });

  return {
    async claimAndHold(attempts) {
      const claimGroups = groupForClaims(redis, attempts);
      const groups = groupByItem(attempts);
      const replies = await runCommands(redis, [
        ...claimGroups.map(({ requests }) => claim(requests, claimTtlMs)),
        ...groups.map((group) => hold(group, holdLeaseMs, defaultPrice)),
      ]);
      const claims = resultsOf(claimGroups, replies, (found) => found as (Claim | Error)[]);
      const holds = resultsOf(groups, replies.slice(claimGroups.length), (found, group) =>
        parseHoldResults(found, group.requests),
      );
      const refused = attempts.filter((_, i) => wasRefused(claims[i], holds[i]));
      // If this fails, the claims end by themselves, later.
      if (refused.length > 0) await runCommands(redis, dropClaims(refused));
      const verdicts = attempts.map((attempt, i) => toVerdict(attempt, claims[i], holds[i]));
      await lookAgain(redis, attempts, verdicts);
      return verdicts;
    },

    areKnown: (requests) => areKnown(redis, requests),

    async undo(attempts) {
      const commands = attempts
        .filter(({ undoHold }) => undoHold)
        .map(({ itemId, requestId, token }): Command => {
          return ['ledgerUndo', ...itemKeys(itemId), requestId, token];
        });
      commands.push(...dropClaims(attempts.filter(({ dropClaim }) => dropClaim)));
      const failed = (await runCommands(redis, commands)).find(([error]) => error !== null);
      if (failed) throw new Error('Redis did not undo every attempt', { cause: failed[0] });
    },

    async queue(orders) {
      const groups = groupByItem(orders);
      const claimGroups = groupForClaims(redis, orders);
      const replies = await runCommands(redis, [
        ...groups.map(({ key: itemId, requests }): Command => {
          const pairs = requests.map(
            ({ requestId, orderId = NO_ORDER_ID }) => `${requestId} ${orderId}`,
          );
          return ['ledgerQueue', ...itemKeys(itemId), asOneArgument(pairs)];
        }),
        // A rejected attempt of the same request may have dropped the claim. The claim of another request stays.
        ...claimGroups.map((group) => keepCommand(group, orderRetentionMs)),
      ]);
      return resultsOf(groups, replies, (found) => (found as number[]).map((known) => known === 1));
    },

    async reject(requests) {
      const commands = requests.map(({ itemId, requestId }): Command => {
        const args = [rejectionsKey(itemId), requestId, orderRetentionMs];
        return ['ledgerReject', ...itemKeys(itemId), ...args];
      });
      const replies = await runCommands(redis, commands);
      return replies.map(([error, reply]) => error ?? parseRejectResult(reply));
    },
  };
}

/** What a hold is answered that finds no entry. */
const WITHOUT_ENTRY: readonly HoldResult['kind'][] = [
  'held',
  'sold-out',
  'limit',
  'closed',
  'payment-named',
];

/**
 * An order may have left the ledger between the claim and the hold, which lie in two slots: its claim was marked first, so
 * a second look at the claim shows it. Without that look a repeated request would be a second order, or be told that the item
 * is sold out.
 */
async function lookAgain(
  redis: RedisConnection,
  attempts: readonly Attempt[],
  verdicts: (Verdict | Error)[],
): Promise<void> {
  const doubtful = [...verdicts.entries()].flatMap(([at, verdict]) => {
    const attempt = attempts[at];
    if (verdict instanceof Error || verdict.claim !== 'same' || !attempt) return [];
    return WITHOUT_ENTRY.includes(verdict.hold.kind) ? [{ at, attempt, verdict }] : [];
  });
  if (doubtful.length === 0) return;
  const commands = doubtful.map(({ attempt }): Command => ['get', claimKey(attempt.requestId)]);
  const replies = await runCommands(redis, commands);
  for (const [i, { at, attempt, verdict }] of doubtful.entries()) {
    const [error, claim] = replies[i] ?? NO_REPLY;
    const isFinished = claim === `${claimValue(attempt)}${FINISHED_MARK}`;
    verdicts[at] = error ?? (isFinished ? { ...verdict, claim: 'finished' } : verdict);
  }
}

async function areKnown(
  redis: RedisConnection,
  requests: readonly RequestOf[],
): Promise<(boolean | Error)[]> {
  const groups = groupByItem(requests);
  // Any of the three makes a request known: a rejected attempt of the same request may have dropped its claim, an entry
  // belongs to one item, and a lost ledger has no entries.
  const replies = await runCommands(redis, [
    ...requests.map(({ requestId }): Command => ['exists', claimKey(requestId)]),
    ...groups.map(({ key, requests: all }): Command => {
      return ['hmget', ordersKey(key), ...all.map(({ requestId }) => requestId)];
    }),
    ...groups.map(({ key }): Command => ['hexists', countsKey(key), 'opened']),
  ]);
  const entries = resultsOf(groups, replies.slice(requests.length), (found) =>
    (found as unknown[]).map((entry) => entry !== null),
  );
  const lost = resultsOf(groups, replies.slice(requests.length + groups.length), (open, group) =>
    group.requests.map(() => open !== 1),
  );
  return requests.map((_, i): boolean | Error => {
    const [error, claimed] = replies[i] ?? NO_REPLY;
    return error ?? (claimed === 1 || entries[i] || (lost[i] ?? NO_RESULT));
  });
}

function groupByItem<T extends RequestOf>(requests: readonly T[]): Group<ItemId, T>[] {
  return groupBy(requests, ({ itemId }) => itemId);
}

function claim(requests: readonly Attempt[], ttlMs: number): Command {
  const keys = requests.map(({ requestId }) => claimKey(requestId));
  return ['claim', keys.length, ...keys, ttlMs, asOneArgument(requests.map(claimValue))];
}

function hold(
  { key: itemId, requests }: Group<ItemId, Attempt>,
  leaseMs: number,
  { priceMinor, currency }: Price,
): Command {
  const attempts = requests.map(
    ({ requestId, userId, amount, payment, fingerprint, token }) =>
      `${requestId} ${userId} ${amount}${payment ? 'p' : ''} ${fingerprint} ${token}`,
  );
  const keys = itemKeys(itemId);
  return ['ledgerHold', ...keys, leaseMs, priceMinor, currency, asOneArgument(attempts)];
}

/** What the claim was before the attempt; null where the attempt made it. */
type Claim = string | null;

/**
 * Whether this attempt made its claim and the hold was then refused, because the item's stock or sale was mistyped, Redis is
 * full, or more leases are over than one call reclaims. That answer is definite, so the claim is dropped, and the buyer may try again.
 */
function wasRefused(claimed?: Claim | Error, held: HoldResult | Error = NO_RESULT): boolean {
  return (
    claimed === null &&
    held instanceof Error &&
    /^(BADSTOCK|BADSALE|OOM|RECLAIMING) /.test(held.message)
  );
}

function toVerdict(
  attempt: Attempt,
  claimed: Claim | Error = NO_RESULT,
  held: HoldResult | Error = NO_RESULT,
): Verdict | Error {
  if (claimed instanceof Error) return claimed;
  if (held instanceof Error) return held;
  return { claim: claimStanding(claimed, claimValue(attempt)), hold: held };
}

function claimStanding(claimed: Claim, own: string): Verdict['claim'] {
  if (claimed === null) return 'new';
  if (claimed === own) return 'same';
  return claimed === `${own}${FINISHED_MARK}` ? 'finished' : 'other';
}
