import type { Kafka } from 'kafkajs';
import {
  createAuditedOrders,
  type ArchivedUnits,
  type AuditedOrders,
} from '../archive/audited-orders';
import type { ArchiveDatabase } from '../archive/database';
import type { PastOrder } from '../archive/item-history';
import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, Order, OrderId, RequestId } from '../orders/order';
import { outcomeEvent } from '../orders/order-event';
import type { LedgerMaintenance } from '../stock/ledger-maintenance';
import type { StoredOrder } from '../stock/ledger-pages';
import { chunks } from '../../platform/chunks';
import { describeError } from '../../platform/user-error';
import { createRecordsBehind } from './archive-lag';
import type { Difference } from './compare-order';
import { readHistories } from './order-history';
import type { OrderRuns } from './order-runs';
import { restoredEntry } from './restored-entry';

/** Events are written within seconds; while Kafka is away their runs are open, and tell them later. */
export const TOLD_WITHIN_MS = 10 * 60_000;
/** An order may wait for hours, but then its entry or its run is there. */
const UNENDED_MS = 3_600_000;
const LOOKED_UP_AT_ONCE = 500;
/** Rows of one page. */
const PAGE_SIZE = 200;

export type ArchiveLook = ReturnType<typeof createArchiveLook>;

/**
 * The archive for one step of the audit. Once it does not answer or is behind the log it is not asked again: then nothing is
 * said of it, because a lag is no difference, and `problem` says why. What others record meanwhile does not count.
 */
export function createArchiveLook({
  archive,
  behind,
}: {
  /** Absent: there is none. */
  readonly archive: AuditedOrders | undefined;
  /** Waits, within a bound, until the archive has every record of now; else how many it misses. */
  readonly behind: () => Promise<number>;
}) {
  let problem = archive ? undefined : 'there is none: DATABASE_URL is not set';
  let isCurrent = false;

  const ask = async <T>(
    question: (archive: AuditedOrders) => Promise<T>,
  ): Promise<T | undefined> => {
    if (!archive || problem !== undefined) return undefined;
    try {
      return await question(archive);
    } catch (error) {
      problem = describeError(error);
      return undefined;
    }
  };
  const reachesNow = async (): Promise<boolean> => {
    if (isCurrent || problem !== undefined) return isCurrent;
    const records = await ask(behind);
    if (records !== undefined && records > 0) problem = `${records} records of Kafka are missing`;
    isCurrent = records === 0;
    return isCurrent;
  };

  return {
    /** Why nothing is said of the archive; undefined while it answers. */
    get problem(): string | undefined {
      return problem;
    },

    /** Which of these orders of an item have ended so long ago that the archive should know, and it does not. */
    untold: async (
      itemId: ItemId,
      orders: readonly StoredOrder[],
      now: number,
    ): Promise<ReadonlySet<RequestId>> => {
      const ends = orders.flatMap(({ requestId, entry }) => {
        if ('problem' in entry || now - (entry.finishedAt ?? now) < TOLD_WITHIN_MS) return [];
        const event = outcomeEvent({ itemId, requestId, entry });
        return event ? [{ requestId, orderId: event.order.orderId, revision: event.revision }] : [];
      });
      const untold = new Set<RequestId>();
      for (const some of chunks(ends, LOOKED_UP_AT_ONCE)) {
        for (const requestId of (await ask((known) => known.untold(some))) ?? []) {
          untold.add(requestId);
        }
      }
      return untold.size > 0 && (await reachesNow()) ? untold : new Set();
    },

    /** A page of old orders without an end; the last page is shorter. Empty where the archive is not looked at. */
    unended: async (
      itemId: ItemId,
      after: UnendedCursor | undefined,
      now: number,
    ): Promise<{ readonly orders: readonly PastOrder[]; readonly next?: UnendedCursor }> => {
      const before = now - UNENDED_MS;
      const page = await ask((known) => known.unended(itemId, { before, after, limit: PAGE_SIZE }));
      if (!page || page.length === 0 || !(await reachesNow())) return { orders: [] };
      const { acceptedAt, orderId = '' } = page.at(-1)?.order ?? { acceptedAt: 0 };
      return {
        orders: page,
        ...(page.length === PAGE_SIZE && { next: { acceptedAt, orderId } }),
      };
    },

    /** One of them, while it is one. */
    unendedOrder: async (
      itemId: ItemId,
      requestId: RequestId,
      now: number,
    ): Promise<Order | undefined> => {
      const before = now - UNENDED_MS;
      const page = await ask((known) =>
        known.unended(itemId, { requestId, before, limit: PAGE_SIZE }),
      );
      return page?.at(-1)?.order;
    },

    /** `uncovered`: the archive need not have them all. Undefined where it is not looked at. */
    units: async (itemId: ItemId): Promise<ArchivedUnits | 'uncovered' | undefined> => {
      if (!(await reachesNow())) return undefined;
      return ask(async (known) => (await known.units(itemId)) ?? 'uncovered');
    },
  };
}

/** An archiver that runs needs a second; one that was away is far behind. */
const WAIT_MS_MAX = 5_000;

/** The archive of a database, if there is one, which is behind while it misses records of these topics. */
export function archiveLookOf({
  database,
  kafka,
  topics,
}: {
  readonly database: ArchiveDatabase | undefined;
  readonly kafka: Kafka;
  readonly topics: readonly string[];
}): ArchiveLook {
  return createArchiveLook({
    archive: database && createAuditedOrders(database),
    behind: database
      ? createRecordsBehind({ database, kafka }, topics, WAIT_MS_MAX)
      : () => Promise.resolve(0),
  });
}

/** Behind the last order of a page. */
export interface UnendedCursor {
  readonly acceptedAt: number;
  readonly orderId: string;
}

type EndedRuns = Pick<OrderRuns, 'look' | 'history' | 'runIdsOf'>;

/** The entry that the runs of an order say it has ended with; undefined where they do not know an end of it. */
export async function endByRuns(
  runs: EndedRuns,
  {
    itemId,
    requestId,
    orderId,
  }: {
    readonly itemId: ItemId;
    readonly requestId: RequestId;
    /** Absent: of whichever acceptance. */
    readonly orderId?: OrderId | undefined;
  },
): Promise<LedgerEntry | undefined> {
  const listed = await runs.runIdsOf(itemId, [requestId]);
  const histories = await readHistories(runs, requestId, listed.get(requestId));
  const entry = restoredEntry(histories.filter(({ order }) => order.itemId === itemId));
  if (entry?.finishedAt === undefined) return undefined;
  if (orderId !== undefined && entry.orderId !== orderId) return undefined;
  // Where no step has told the revision, nothing was told under one.
  return { ...entry, revision: entry.revision ?? entry.finishedAt };
}

/**
 * What an order without an end in the archive is, looked up by its id; undefined while ledger or workflow know of it, and
 * where its entry is that of the same purchase, accepted again.
 */
export async function compareUnended(
  { repair, runs }: { readonly repair: LedgerMaintenance; readonly runs: EndedRuns },
  { order }: PastOrder,
): Promise<Difference | undefined> {
  const { itemId, requestId, orderId, acceptedAt } = order;
  const entry = await repair.entry(itemId, requestId);
  if (entry && ('problem' in entry || entry.fingerprint === order.fingerprint)) return undefined;
  if ((await runs.look(requestId))?.status === 'running') return undefined;
  const accepted = `accepted at ${new Date(acceptedAt).toISOString()}, not in the ledger`;
  const end = await endByRuns(runs, { itemId, requestId, orderId });
  if (end) {
    const there = `${accepted}, ${end.state} by its workflow, no end in the archive`;
    return { kind: 'untold', requestId, there, should: 'told', ...(!entry && { mend: 'tell' }) };
  }
  const there = `${accepted}, no workflow that has ended it, no end in the archive`;
  return {
    kind: 'unended',
    requestId,
    there,
    should: 'an outcome',
    ...(!entry && { mend: 'start-again' }),
  };
}

/** Nothing changes for so long before an item's units are compared: every event of an order is written then. */
const QUIET_MS = 10 * 60_000;

/**
 * Compares the units that the archive has of an item with the ledger's counts. Undefined where that cannot be done now: the
 * item is not quiet, or the archive is not looked at.
 */
export async function compareUnits(
  {
    repair,
    archiveLook,
    now = Date.now,
  }: {
    readonly repair: LedgerMaintenance;
    readonly archiveLook: ArchiveLook;
    readonly now?: () => number;
  },
  itemId: ItemId,
): Promise<Difference[] | undefined> {
  const counts = await repair.counts(itemId);
  if (now() - counts.changedAt < QUIET_MS) return undefined;
  const archived = await archiveLook.units(itemId);
  if (archived === undefined) return undefined;
  if (archived === 'uncovered') return [];
  if ((await repair.counts(itemId)).event !== counts.event) return undefined;
  const { sold, live } = archived;
  const compared = [
    { what: 'sold', there: sold, should: counts.sold },
    { what: 'queued or reserved', there: live, should: counts.queued + counts.reserved },
  ];
  return compared
    .filter(({ there, should }) => there !== should)
    .map(({ what, there, should }) => ({
      kind: 'archive-counts',
      there: `${there} units are ${what} in the archive`,
      should: `${should}, as in the ledger`,
    }));
}
