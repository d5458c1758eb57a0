import type { ArchiveDatabase } from '../engine/archive/database';
import { newestStock, writeStockChanges } from '../engine/archive/stock-changes';
import type { ItemId } from '../engine/orders/order';
import {
  noteStock,
  readAdjustments,
  readOpenStock,
  removeAdjustments,
  type StoredAdjustment,
} from '../engine/stock/adjustments';
import { adjustmentsKey } from '../engine/stock/keys';
import { findAdjustedItems, findOpenItems } from '../engine/stock/open-items';
import { defineLedgerScripts } from '../engine/stock/scripts';
import { chunks } from '../platform/chunks';
import { createRepeatFilter, type Logger } from '../platform/logger';
import type { RedisConnection } from '../platform/redis';
import { lookEvery, within } from '../platform/until';
import { describeError } from '../platform/user-error';
import type { ArchiveMetrics } from './metrics';

const EVERY_MS = 1_000;
/** Finding new items looks at all keys. It may take a fiftieth of the time, but a new item waits no longer than this. */
const FIND_ITEMS_EVERY_MS_MAX = 60_000;
const FIND_ITEMS_SHARE = 1 / 50;
/** After an update from a version that recorded nothing, and after the archive was restored from an older backup. */
const NOTE_EVERY_MS = 600_000;

/** Items of one round trip, and entries of each: 2 MB. */
const ITEMS_AT_ONCE = 50;
const ENTRIES_AT_ONCE = 100;
const STOP_MS_MAX = 2_000;

interface StockArchiverDeps {
  readonly redis: RedisConnection;
  readonly archive: ArchiveDatabase;
  readonly metrics: ArchiveMetrics;
  readonly logger: Logger;
}

/**
 * Archives what the ledgers record of changes of stock and sale, and takes it out of Redis once it is in PostgreSQL. Any
 * number of processes may do so at once. While one of the two systems is away, it tries again every second, and Redis keeps
 * the changes.
 */
export function startArchivingStock({ redis, archive, metrics, logger }: StockArchiverDeps) {
  defineLedgerScripts(redis, ['ledgerNote']);
  const isNews = createRepeatFilter();
  const now = () => performance.now();
  let items: readonly ItemId[] = [];
  let findAgainAt = -Infinity;
  let noted = -Infinity;
  let isStopped = false;

  /** Records the stock of items whose newest state the archive does not have. */
  async function noteMissing(failed: (error: unknown) => void): Promise<void> {
    for (const some of chunks(await findOpenItems(redis), ITEMS_AT_ONCE)) {
      const open = await readOpenStock(redis, some);
      const waiting = await readAdjustments(redis, some, 1);
      const archived = await newestStock(archive, some);
      for (const [itemId, { supply, sale }] of open) {
        const newest = archived.get(itemId);
        const isThere = newest?.supply === supply && isSame(sale, newest.sale ?? {});
        const entries = waiting.get(itemId) ?? [];
        const isWaiting = entries instanceof Error || entries.length > 0;
        if (!isThere && !isWaiting && !isStopped) await noteStock(redis, itemId).catch(failed);
      }
    }
  }

  async function archiveEntries(itemId: ItemId, entries: readonly StoredAdjustment[]) {
    const { rows, setAside } = await writeStockChanges(archive, itemId, entries);
    const ids = entries.map(([id]) => id);
    await removeAdjustments(redis, itemId, ids);
    metrics.rows.inc({ table: 'stock_changes' }, rows);
    metrics.stockChanges(entries.length - setAside.length, setAside.length);
    for (const { id, problem } of setAside) {
      const place = { stream: adjustmentsKey(itemId), id };
      logger.error({ ...place, problem }, 'a change of stock cannot be archived: set aside');
    }
  }

  /** What is wrong with one item keeps none of the others waiting: it is thrown at the end. */
  async function archiveAll(): Promise<void> {
    const startedAt = Date.now();
    const failures: unknown[] = [];
    const failed = (error: unknown) => failures.push(error);
    if (now() - noted >= NOTE_EVERY_MS) {
      await noteMissing(failed);
      noted = now();
      findAgainAt = -Infinity;
    }
    const beganAt = now();
    if (beganAt >= findAgainAt) {
      items = await findAdjustedItems(redis);
      const tookMs = now() - beganAt;
      findAgainAt = now() + Math.min(tookMs / FIND_ITEMS_SHARE, FIND_ITEMS_EVERY_MS_MAX);
    }
    for (const some of chunks(items, ITEMS_AT_ONCE)) {
      for (let left: readonly ItemId[] = some; left.length > 0 && !isStopped;) {
        const more: ItemId[] = [];
        for (const [itemId, entries] of await readAdjustments(redis, left, ENTRIES_AT_ONCE)) {
          if (entries instanceof Error) failed(entries);
          else if (entries.length > 0) await archiveEntries(itemId, entries);
          if (!(entries instanceof Error) && entries.length === ENTRIES_AT_ONCE) more.push(itemId);
        }
        left = more;
      }
    }
    if (failures.length > 0) throw failures[0];
    if (!isStopped) metrics.stockArchived(startedAt);
  }

  const looks = lookEvery(EVERY_MS, async () => {
    if (isStopped) return;
    try {
      await archiveAll();
    } catch (error) {
      metrics.faults.inc({ kind: 'stock' });
      if (isNews(describeError(error))) {
        logger.warn({ err: error }, 'cannot archive changes of stock: retrying');
      }
    }
  });
  void looks.lookOnce();

  return {
    /** Ends the transaction in hand, within a bound. */
    stop: async (): Promise<void> => {
      isStopped = true;
      looks.stop();
      await within(looks.lookOnce(), STOP_MS_MAX, 'archiving changes of stock').catch(
        (error: unknown) => {
          logger.warn({ err: error }, 'archiving changes of stock did not stop cleanly');
        },
      );
    },
  };
}

function isSame(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>) {
  const names = Object.keys(one);
  return (
    names.length === Object.keys(other).length && names.every((name) => one[name] === other[name])
  );
}
