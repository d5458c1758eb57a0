import type { Cancellations, LoggedOrder } from '../kafka/read-log';
import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, RequestId } from '../orders/order';
import type { LedgerRegistration } from '../stock/ledger-registry';
import { chunks } from '../../platform/chunks';
import { CLOCKS_DIFFER_MS_MAX } from './compare-order';
import { forEachConcurrently, type OrderRuns } from './order-runs';
import type { RunHistory } from './run-history';
import { cancelledEntry, queuedEntry, refusedEntry, restoredEntry } from './restored-entry';

/** What is known of orders outside the ledger, where there is no archive. */
export interface OrderHistory {
  /**
   * Passes the entry of every order of an item to `onEntries`, at most RESTORED_AT_ONCE in a call. Returns the reasons why
   * there may have been more orders; none: the history is complete.
   */
  restore(
    item: LedgerRegistration & { readonly itemId: ItemId },
    onEntries: (entries: ReadonlyMap<RequestId, LedgerEntry>) => Promise<void>,
  ): Promise<readonly HistoryGap[]>;
}

export type HistoryGap =
  /** The log does not go back to the item's first order, and Temporal has forgotten runs of that time. */
  | { readonly kind: 'log-begins-late'; readonly runsKnownSince: number }
  /**
   * Without a run, although accepted before `runsKnownSince` or finished by ingest: they may have been sold, and their runs
   * forgotten.
   */
  | {
      readonly kind: 'runs-forgotten';
      readonly orders: number;
      readonly example: RequestId;
      readonly runsKnownSince: number;
    };

/** What the archive may not know. */
export type ArchiveGap =
  /** Records of the log that it does not have yet. */
  | { readonly kind: 'archive-behind'; readonly records: number }
  /** Neither it nor the log goes back to the item's first order. */
  | { readonly kind: 'archive-begins-late'; readonly archivedSince: number }
  /** Events that it could not read, or stretches of them that the log had lost: each may tell of a sale. */
  | { readonly kind: 'events-set-aside'; readonly records: number };

export const RESTORED_AT_ONCE = 1_000;
/** Histories that are read concurrently: they are small, and the server also has orders to run. */
const CONCURRENCY = 8;

/**
 * The history that Temporal and the log have. Reading it keeps the records and the run ids of the item's orders in memory,
 * a few hundred bytes an order; the histories of the runs are read chunk by chunk.
 */
export function createOrderHistory({
  runs,
  readOrders,
  readCancellations,
  logReachesBackTo,
  now = Date.now,
}: {
  readonly runs: Pick<OrderRuns, 'keptMs' | 'runIds' | 'look' | 'history'>;
  /** All orders of an item in the log. */
  readonly readOrders: (itemId: ItemId) => Promise<ReadonlyMap<RequestId, LoggedOrder>>;
  readonly readCancellations: (itemId: ItemId) => Promise<Cancellations>;
  /** Whether the log still has every record since a time, in ms since the epoch. */
  readonly logReachesBackTo: (sinceMs: number) => Promise<boolean>;
  readonly now?: () => number;
}): OrderHistory {
  return {
    restore: async ({ itemId, at, isAgain }, onEntries) => {
      // A registration that was repeated tells nothing about the item's beginning, and no run is older than it.
      const itemSince = isAgain ? 0 : at;
      const knownSince = runsKnownSince({ at, isAgain }, await runs.keptMs(), now());
      const gaps: HistoryGap[] = [];
      if (itemSince < knownSince && !(await logReachesBackTo(itemSince))) {
        gaps.push({ kind: 'log-begins-late', runsKnownSince: knownSince });
      }

      // Before the runs: a record that ingest has finished by now has had its run.
      const logged = await readOrders(itemId);
      const cancellations = await readCancellations(itemId);
      const runIds = await runs.runIds(itemId);
      const all = new Set([...logged.keys(), ...cancellations.keys(), ...runIds.keys()]);
      const forgotten: RequestId[] = [];
      for (const requestIds of chunks([...all], RESTORED_AT_ONCE)) {
        const entries = new Map<RequestId, LedgerEntry>();
        await forEachConcurrently(requestIds, CONCURRENCY, async (requestId) => {
          const { order, isFinished = false } = logged.get(requestId) ?? {};
          const cancellation = cancellations.get(requestId);
          const histories = await readHistories(runs, requestId, runIds.get(requestId));
          // A run that was looked up by the id may be another item's order.
          const ofItem = histories.filter((run) => run.order.itemId === itemId);
          const isWithoutRun = order !== undefined && ofItem.length === 0;
          const isYoung = isWithoutRun && order.acceptedAt >= knownSince;
          // The order waits for ingest, or ingest refuses it where the id has another order's run.
          const isKnown = isYoung && (histories.length > 0 || !isFinished);
          const entryOf = histories.length === 0 ? queuedEntry : refusedEntry;
          const restored = restoredEntry(ofItem) ?? (isKnown ? entryOf(order) : undefined);
          const entry = cancellation ? cancelledEntry(cancellation, restored) : restored;
          if (entry) entries.set(requestId, entry);
          else if (isWithoutRun) forgotten.push(requestId);
        });
        await onEntries(entries);
      }
      const [example] = forgotten;
      if (example !== undefined) {
        const orders = forgotten.length;
        gaps.push({ kind: 'runs-forgotten', orders, example, runsKnownSince: knownSince });
      }
      return gaps;
    },
  };
}

/** The histories of an order's runs, of which the listing has named `listed`. */
export async function readHistories(
  runs: Pick<OrderRuns, 'look' | 'history'>,
  requestId: RequestId,
  listed: readonly string[] | undefined,
): Promise<RunHistory[]> {
  // Orders that the listing does not show yet are looked up by id.
  const latest = listed === undefined ? await runs.look(requestId) : undefined;
  const histories: RunHistory[] = [];
  for (const runId of listed ?? (latest ? [latest.runId] : [])) {
    histories.push(await runs.history(requestId, runId));
  }
  return histories;
}

/** No run that has ended since then is forgotten. */
export function runsKnownSince(
  { at, isAgain }: Pick<LedgerRegistration, 'at' | 'isAgain'>,
  keptMs: number,
  now: number,
): number {
  const kept = now - keptMs + CLOCKS_DIFFER_MS_MAX;
  return isAgain ? Math.max(kept, at + CLOCKS_DIFFER_MS_MAX) : kept;
}
