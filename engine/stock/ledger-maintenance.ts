import { randomUUID } from 'node:crypto';
import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, RequestId, UserId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { countsKey, freeUnitsKey, itemKeys, saleKey, stagingKeys } from './keys';
import { createLedgerCounts, type ByHand } from './ledger-counts';
import { createLedgerPages } from './ledger-pages';
import { defineLedgerScripts, type ScriptArgument } from './scripts';
import type { SaleFields } from './stock-operations';
import { formatEntry } from './stored-entry';

export interface LedgerStanding {
  readonly free: string | null;
  readonly open: boolean;
  readonly hasArchived: boolean;
}

export type RebuildResult =
  | ({ readonly kind: 'rebuilt' } & Readonly<
      Record<'free' | 'queued' | 'reserved' | 'sold' | 'supply', number>
    >)
  /** The given supply is less than the orders hold. */
  | { readonly kind: 'too-small'; readonly needed: number }
  | { readonly kind: 'open' };

/** Entries of one call: it holds up Redis for two or three milliseconds. */
const STAGED_AT_ONCE = 200;

export type LedgerMaintenance = ReturnType<typeof createLedgerMaintenance>;

/**
 * The ledger for audit, repair and rebuild. Every method may be called again, and throws when Redis gives no definite
 * answer.
 */
export function createLedgerMaintenance(redis: RedisConnection) {
  defineLedgerScripts(redis);
  const stage = (
    itemId: ItemId,
    rebuildId: string,
    step: 'begin' | 'add' | 'owners' | 'drop',
    parts: readonly ScriptArgument[] = [],
  ) => {
    const keys = [...itemKeys(itemId), ...stagingKeys(itemId)];
    return redis.ledgerStageRebuild(...keys, rebuildId, step, ...parts);
  };
  return {
    ...createLedgerCounts(redis),
    ...createLedgerPages(redis),

    /** The item's stock key, whether its ledger is open, and whether orders may have left it. */
    async standing(itemId: ItemId): Promise<LedgerStanding> {
      const free = await redis.get(freeUnitsKey(itemId));
      const [opened, archivedUntil] = await redis.hmget(
        countsKey(itemId),
        'opened',
        'archived_until',
      );
      return { free, open: opened !== null, hasArchived: archivedUntil !== null };
    },

    /** Gives back the units of every hold whose lease is over. */
    async reclaimExpired(itemId: ItemId): Promise<void> {
      while (Number(await redis.ledgerReclaim(...itemKeys(itemId))) > 0);
    },

    /** Begins to rebuild a lost ledger, and drops what an earlier rebuild has left. Returns the id of the rebuild. */
    async beginRebuild(itemId: ItemId): Promise<string> {
      const rebuildId = randomUUID();
      await stage(itemId, rebuildId, 'begin');
      return rebuildId;
    },

    /** Adds entries to a rebuild. Throws when another rebuild has begun. */
    async stageEntries(
      itemId: ItemId,
      rebuildId: string,
      entries: ReadonlyMap<RequestId, LedgerEntry>,
    ): Promise<void> {
      const all = [...entries];
      for (let start = 0; start < all.length; start += STAGED_AT_ONCE) {
        const some = all.slice(start, start + STAGED_AT_ONCE);
        const orders = some.flatMap(([requestId, entry]) => [requestId, formatEntry(entry)]);
        const reply = await stage(itemId, rebuildId, 'add', orders);
        if (reply !== 'staged') throw anotherRebuild(itemId);
      }
    },

    /** Adds the units of sold orders that only the archive has, some hundred users. Throws as `stageEntries`. */
    async stageOwners(
      itemId: ItemId,
      rebuildId: string,
      units: ReadonlyMap<UserId, number>,
    ): Promise<void> {
      const reply = await stage(itemId, rebuildId, 'owners', [...units].flat());
      if (reply !== 'staged') throw anotherRebuild(itemId);
    },

    /** How the item is sold, as Redis has it; undefined for the default. */
    async sale(itemId: ItemId): Promise<SaleFields | undefined> {
      const sale = await redis.hgetall(saleKey(itemId));
      return Object.keys(sale).length === 0 ? undefined : sale;
    },

    async dropRebuild(itemId: ItemId, rebuildId: string): Promise<void> {
      await stage(itemId, rebuildId, 'drop');
    },

    /** Replaces a lost ledger by the staged one and opens it. An open ledger stays as it is. */
    async finishRebuild(
      itemId: ItemId,
      ledger: {
        readonly rebuildId: string;
        readonly token: string;
        readonly given: 'free' | 'supply';
        readonly units: number;
        /** Units of sold orders that only the archive has, and whether they are staged by user. */
        readonly archived?: { readonly units: number; readonly areCounted: boolean };
        /** For an item that has none in Redis. */
        readonly sale?: SaleFields | undefined;
      } & ByHand,
    ): Promise<RebuildResult> {
      const { rebuildId, token, given, units, by, why, archived, sale = {} } = ledger;
      const keys = [...itemKeys(itemId), ...stagingKeys(itemId)];
      const stock = [given, units, by, why, archived?.units ?? 0, archived?.areCounted ? 1 : 0];
      const args = [rebuildId, token, ...stock, ...Object.entries(sale).flat()];
      const reply = await redis.ledgerRebuild(...keys, ...args);
      return toRebuildResult(reply, itemId);
    },

    /** Writes some hundred entries into a lost ledger, for `accept` to count. */
    async restoreEntries(
      itemId: ItemId,
      entries: ReadonlyMap<RequestId, LedgerEntry>,
    ): Promise<void> {
      const orders = [...entries].flatMap(([requestId, entry]) => [requestId, formatEntry(entry)]);
      await redis.ledgerRestoreEntries(...itemKeys(itemId), ...orders);
    },
  };
}

function anotherRebuild(itemId: ItemId): Error {
  return new Error(
    `Another rebuild of item ${itemId} has begun since: this one has changed nothing`,
  );
}

function toRebuildResult(reply: unknown, itemId: ItemId): RebuildResult {
  const [kind, ...numbers] = reply as [string, ...number[]];
  const [free = 0, queued = 0, reserved = 0, sold = 0, supply = 0] = numbers.map(Number);
  if (kind === 'another') throw anotherRebuild(itemId);
  if (kind === 'rebuilt') return { kind, free, queued, reserved, sold, supply };
  if (kind === 'too-small') return { kind, needed: free };
  if (kind === 'uncounted') {
    throw new Error(`Item ${itemId} has got a limit for each user meanwhile: rebuild it again`);
  }
  return { kind: 'open' };
}
