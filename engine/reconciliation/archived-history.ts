import type { ItemHistory, PastOrder, Snapshot } from '../archive/item-history';
import type { Cancellations } from '../kafka/read-log';
import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, Order, RequestId, UserId } from '../orders/order';
import type { LedgerRegistration } from '../stock/ledger-registry';
import type { ArchiveGap, HistoryGap } from './order-history';
import { chunks } from '../../platform/chunks';
import { CLOCKS_DIFFER_MS_MAX } from './compare-order';
import { readHistories, RESTORED_AT_ONCE, runsKnownSince } from './order-history';
import { forEachConcurrently, type OrderRuns } from './order-runs';
import { cancelledEntry, queuedEntry, refusedEntry, restoredEntry } from './restored-entry';

/** Takes what a ledger is made of, page by page. */
export interface LedgerParts {
  readonly entries: (entries: ReadonlyMap<RequestId, LedgerEntry>) => Promise<void>;
  /** Orders without an entry, which the archive knows. */
  readonly left: (orders: readonly Order[]) => Promise<void>;
  /** Units of such orders by user; absent where the item has no limit for each user. */
  readonly owners?: (units: ReadonlyMap<UserId, number>) => Promise<void>;
}

export type ArchivedHistory = ReturnType<typeof createArchivedHistory>;

/** Histories that are read concurrently: they are small, and the server also has orders to run. */
const CONCURRENCY = 8;

/**
 * The history that the archive has, with Temporal for the orders that it does not know the end of. Sold orders are only
 * counted, and what is in memory are the cancellations and the orders under way, a few hundred bytes each.
 */
export function createArchivedHistory({
  archive,
  runs,
  readCancellations,
  behind,
  logReachesBackTo,
  eventsTopic,
  orderRetentionMs,
  now = Date.now,
}: {
  readonly archive: ItemHistory;
  readonly runs: Pick<OrderRuns, 'keptMs' | 'unfinished' | 'runIdsOf' | 'look' | 'history'>;
  readonly readCancellations: (itemId: ItemId) => Promise<Cancellations>;
  /** Waits, within a bound, until the archive has every record of now; else how many it misses, at least. */
  readonly behind: () => Promise<number>;
  /** Whether the log still has every record since a time, in ms since the epoch. */
  readonly logReachesBackTo: (sinceMs: number) => Promise<boolean>;
  readonly eventsTopic: string;
  /** A failed order may be tried again for as long, and a request_id is known. */
  readonly orderRetentionMs: number;
  readonly now?: () => number;
}) {
  return {
    /**
     * Passes the parts of an item's ledger, but for `soldUnits`: those of orders without an entry. `gaps` are the reasons why
     * there may be more orders. No order changes meanwhile, because every step on a lost ledger waits.
     */
    restore: async (
      item: LedgerRegistration & { readonly itemId: ItemId },
      parts: LedgerParts,
    ): Promise<{
      readonly gaps: readonly (HistoryGap | ArchiveGap)[];
      readonly soldUnits: number;
    }> => {
      const { itemId } = item;
      const gaps: (HistoryGap | ArchiveGap)[] = [];
      const records = await behind();
      if (records > 0) gaps.push({ kind: 'archive-behind', records });
      const cancellations = await readCancellations(itemId);
      const unfinished = await runs.unfinished(itemId);
      const since = now() - orderRetentionMs;
      const rest = new Map<RequestId, PastOrder | undefined>();
      const { soldUnits, beginnings } = await archive.read(itemId, async (snapshot) => {
        const setAside = await snapshot.eventsSetAside(eventsTopic);
        if (setAside > 0) gaps.push({ kind: 'events-set-aside', records: setAside });
        await snapshot.unfinished((page) => {
          for (const past of page) rest.set(past.order.requestId, past);
          return Promise.resolve();
        });
        await addPast(snapshot, rest, [...unfinished, ...cancellations.keys()]);
        await snapshot.failed(since, (page) => parts.entries(entriesOf(page, rest)));
        await snapshot.ended(since, (page) =>
          parts.left(page.flatMap(({ order }) => (rest.has(order.requestId) ? [] : [order]))),
        );
        if (parts.owners) await snapshot.owners(parts.owners);
        return {
          soldUnits: await snapshot.soldUnits(),
          beginnings: await snapshot.beginnings(),
        };
      });
      // A registration that was repeated tells nothing about the item's beginning.
      const itemSince = beginnings.item ?? (item.isAgain ? 0 : item.at);
      // A new archive begins with the whole log as it is then.
      const isCovered =
        (beginnings.orders ?? Infinity) <= itemSince ||
        beginnings.archive <= itemSince + CLOCKS_DIFFER_MS_MAX;
      if (!isCovered && !(await logReachesBackTo(itemSince))) {
        const archivedSince = Math.min(beginnings.orders ?? Infinity, beginnings.archive);
        gaps.push({ kind: 'archive-begins-late', archivedSince });
      }

      const knownSince = runsKnownSince(item, await runs.keptMs(), now());
      const world = { itemId, runs, unfinished, cancellations, knownSince };
      const forgotten = await restoreRest(world, rest, parts.entries);
      const [example] = forgotten;
      if (example !== undefined) {
        const orders = forgotten.length;
        gaps.push({ kind: 'runs-forgotten', orders, example, runsKnownSince: knownSince });
      }
      return { gaps, soldUnits };
    },
  };
}

/**
 * Restores orders one by one, by their runs where the archive does not know their end. Returns those that may have ended and
 * been forgotten.
 */
async function restoreRest(
  {
    itemId,
    runs,
    unfinished,
    cancellations,
    knownSince,
  }: {
    readonly itemId: ItemId;
    readonly runs: Pick<OrderRuns, 'runIdsOf' | 'look' | 'history'>;
    readonly unfinished: ReadonlySet<RequestId>;
    readonly cancellations: Cancellations;
    readonly knownSince: number;
  },
  rest: ReadonlyMap<RequestId, PastOrder | undefined>,
  onEntries: LedgerParts['entries'],
): Promise<readonly RequestId[]> {
  const forgotten: RequestId[] = [];
  for (const some of chunks([...rest], RESTORED_AT_ONCE)) {
    const isOpen = ([requestId, past]: (typeof some)[number]) =>
      past === undefined || past.status === 'queued' || unfinished.has(requestId);
    const listed = await runs.runIdsOf(
      itemId,
      some.filter(isOpen).map(([requestId]) => requestId),
    );
    const entries = new Map<RequestId, LedgerEntry>();
    await forEachConcurrently(some, CONCURRENCY, async (one) => {
      const [requestId, past] = one;
      const histories = isOpen(one)
        ? await readHistories(runs, requestId, listed.get(requestId))
        : [];
      // A run that was looked up by the id may be another item's order.
      const ofItem = histories.filter((run) => run.order.itemId === itemId);
      const known = restoredEntry(ofItem);
      const restored = known ? notBefore(known, past) : entryOf(past);
      const isForgotten = past?.status === 'queued' && !known && past.order.acceptedAt < knownSince;
      const isRefused = past?.status === 'queued' && !known && histories.length > 0;
      const cancellation = cancellations.get(requestId);
      const plain = isRefused ? refusedEntry(past.order) : isForgotten ? undefined : restored;
      const entry = cancellation ? cancelledEntry(cancellation, plain) : plain;
      if (entry) entries.set(requestId, entry);
      else if (isForgotten) forgotten.push(requestId);
    });
    await onEntries(entries);
  }
  return forgotten;
}

/** Adds these orders, except those that were sold: a sale is final, whatever a later run does. */
async function addPast(
  snapshot: Snapshot,
  rest: Map<RequestId, PastOrder | undefined>,
  requestIds: readonly RequestId[],
): Promise<void> {
  for (const some of chunks(requestIds, RESTORED_AT_ONCE)) {
    const newest = await snapshot.newest(some);
    for (const requestId of some) {
      const past = newest.get(requestId);
      if (past?.status === 'confirmed') rest.delete(requestId);
      else if (!rest.has(requestId)) rest.set(requestId, past);
    }
  }
}

/** The entries of failed orders, except of those that are restored one by one. */
function entriesOf(page: readonly PastOrder[], rest: ReadonlyMap<RequestId, unknown>) {
  return new Map(
    page.flatMap((past): [RequestId, LedgerEntry][] => {
      const { requestId } = past.order;
      const entry = rest.has(requestId) ? undefined : entryOf(past);
      return entry ? [[requestId, entry]] : [];
    }),
  );
}

/** The entry of an order that was not sold, by what the archive says of it. Its charges were settled before it was told. */
function entryOf(past: PastOrder | undefined): LedgerEntry | undefined {
  if (!past) return undefined;
  const queued = queuedEntry(past.order);
  const { status, reason, generation, revision, finishedAt = past.order.acceptedAt } = past;
  if (status === 'queued') return queued;
  return {
    ...queued,
    state: 'released',
    reason: reason ?? (status === 'cancelled' ? 'cancelled' : 'sale-lost'),
    ...(status === 'cancelled' && reason === undefined && { cancelledByBuyer: true }),
    generation,
    // No step of its run was asked for later.
    fence: finishedAt,
    finishedAt,
    ...(revision > 0 && { revision }),
    timeline: [...queued.timeline, { at: finishedAt, state: 'released' }],
  };
}

/** Temporal may have forgotten the first runs of an order that was tried again, and the archive their end. */
function notBefore(entry: LedgerEntry, past: PastOrder | undefined): LedgerEntry {
  if (!past || entry.orderId !== past.order.orderId) return entry;
  const revision = Math.max(entry.revision ?? 0, past.revision);
  return {
    ...entry,
    generation:
      entry.state === 'sold' ? entry.generation : Math.max(entry.generation, past.generation),
    ...(revision > 0 && { revision }),
  };
}
