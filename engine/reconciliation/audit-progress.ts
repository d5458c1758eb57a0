import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import type { AuditPosition } from './audit-item';

/** How far the audit of an item is. Times are in ms since the epoch. */
export interface AuditProgress {
  /** When the audit that is under way, or was the last one, began. */
  readonly startedAt: number;
  /** When it last was the item's turn. */
  readonly lookedAt: number;
  /** Where the audit goes on; absent: it is complete. */
  readonly position?: AuditPosition;
  /** When the last complete audit began; absent before the first. */
  readonly completedFrom?: number;
  /** The start of the time whose confirmed runs were not all found in the ledger. */
  readonly missingSince?: number;
  /** When the last complete audit of all its orders began; absent: never. */
  readonly wholeFrom?: number;
  /** When the counts were compared last; absent: never. */
  readonly countedAt?: number;
  /** When the last audit began that has looked for all orders in the archive; absent where a later one could not look there. */
  readonly archivedFrom?: number;
  /** Whether the audit under way could not look there. */
  readonly isArchiveMissed?: true;
  /** When the archive's units were compared last; absent: never. */
  readonly unitsComparedAt?: number;
  /** Differences that remain, by kind: of the last complete audit, and of the one under way. */
  readonly remaining: Readonly<Record<string, number>>;
  readonly found: Readonly<Record<string, number>>;
}

export type AuditProgressStore = ReturnType<typeof createAuditProgressStore>;

/**
 * Keeps the progress of all items in Redis, outside their ledgers, because each step of an audit may run in another worker.
 * If it is lost, the audits begin anew.
 */
export function createAuditProgressStore(redis: RedisConnection, taskQueue: string) {
  const key = `stock-audit:${taskQueue}`;
  return {
    async read(): Promise<ReadonlyMap<ItemId, AuditProgress>> {
      const stored = Object.entries(await redis.hgetall(key));
      return new Map(
        stored.map(([itemId, text]) => [itemId as ItemId, JSON.parse(text) as AuditProgress]),
      );
    },
    async write(itemId: ItemId, progress: AuditProgress): Promise<void> {
      await redis.hset(key, itemId, JSON.stringify(progress));
    },
    async forget(itemIds: readonly ItemId[]): Promise<void> {
      if (itemIds.length > 0) await redis.hdel(key, ...itemIds);
    },
  };
}
