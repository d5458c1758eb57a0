import type { EndedOrders } from '../archive/ended-orders';
import type { OutcomePublisher } from '../kafka/outcome-publisher';
import type { Cancellations } from '../kafka/read-log';
import { type ItemId, type Order, type RequestId, keySinceOf, paymentKey } from '../orders/order';
import type { CheckoutProvider, PaymentProvider } from '../payments/payment-provider';
import type { LedgerRegistry } from '../stock/ledger-registry';
import type { LedgerOfRecord } from '../archive/ledger-of-record';
import type { LedgerOpening } from '../stock/ledger-opener';
import type { LedgerMaintenance } from '../stock/ledger-maintenance';
import type { StoredOrder } from '../stock/ledger-pages';
import {
  compareUnended,
  compareUnits,
  type ArchiveLook,
  type UnendedCursor,
} from './audit-archive';
import { compareOrder, type Charge, type Difference, type OrderFacts } from './compare-order';
import { forEachConcurrently, type OrderRuns } from './order-runs';

/** What audit and repair use. */
export interface ReconciliationDeps {
  readonly repair: LedgerMaintenance;
  readonly opening: Pick<LedgerOpening, 'begin'>;
  readonly registry: Pick<LedgerRegistry, 'find' | 'register'>;
  readonly ledger: Pick<
    LedgerOfRecord,
    'confirm' | 'release' | 'cancel' | 'isRefundable' | 'resolveCharge'
  >;
  readonly runs: OrderRuns;
  readonly provider: Pick<PaymentProvider, 'find' | 'refund'> & Pick<CheckoutProvider, 'cancel'>;
  readonly lookUpCharges: LookUpCharges;
  /** Whether ingest has read every record that the orders topic holds now. */
  readonly isLogRead: () => Promise<boolean>;
  /** Which of these orders the log has a record of. */
  readonly findRecords: (orders: readonly AcceptedOrder[]) => Promise<ReadonlySet<string>>;
  /** The cancellations of some orders of an item. */
  readonly readCancellations: (
    itemId: ItemId,
    requestIds: ReadonlySet<RequestId>,
  ) => Promise<Cancellations>;
  readonly appendOrder: (order: Order) => Promise<unknown>;
  /** Asked about orders that may have left the ledger. */
  readonly archive: Pick<EndedOrders, 'soldAmong'>;
  readonly archiveLook: ArchiveLook;
  /** Tells other systems of an order that a repair has ended. */
  readonly outcomes: OutcomePublisher;
  readonly wait: (ms: number) => Promise<unknown>;
  readonly now?: () => number;
}

type AcceptedOrder = Pick<Order, 'requestId' | 'acceptedAt'>;

/**
 * Where an audit of an item goes on: first through its entries, all of them or those that its stream says have changed, then
 * through the runs that ended since a time, then through the orders without an end in the archive.
 */
export type AuditPosition =
  | { readonly cursor: string }
  | { readonly changesFrom: string }
  | { readonly runsFrom: number; readonly isWhole?: boolean }
  | { readonly unendedAfter: UnendedCursor | null; readonly isWhole: boolean };

export interface AuditScope {
  readonly itemId: ItemId;
  /** Orders that finished earlier are only counted. In ms since the epoch, like all times here. */
  readonly finishedSince?: number;
  /** Confirmed runs that ended earlier are not looked for in the ledger. */
  readonly runsSince?: number;
  /** Only orders that have changed since then are read, where the item has many. Absent: all of them. */
  readonly changedSince?: number | undefined;
  /**
   * Whether all orders that are read are looked for in the archive, not only those that finished of late, and the archive's
   * own in ledger and workflows. Absent: yes.
   */
  readonly isArchiveDue?: boolean;
  /** When the archive's units were compared last. They are compared once a day. */
  readonly unitsComparedAt?: number | undefined;
  /** Only tests lower it. */
  readonly readEachTimeMax?: number;
  /** Absent: at the beginning. */
  readonly position?: AuditPosition;
  /** When the counts were compared last. Those of a large item are compared once a day. */
  readonly countedAt?: number;
  /** Asked before each page. The audit can be continued from where it stopped. */
  readonly hasTime?: () => boolean;
}

/** `unknown`: the item has no stock and never had a ledger. */
export type AuditResult = { readonly kind: 'unknown' } | AuditedItem;

export interface AuditedItem {
  readonly kind: 'audited';
  readonly orders: number;
  readonly differences: readonly Difference[];
  /** Where to continue; absent: the audit of the item is complete. */
  readonly next?: AuditPosition;
  /** Whether all its orders were read, not only those that have changed. */
  readonly isWhole: boolean;
  /** The start of the time in which a confirmed run ended that has no entry. */
  readonly missingSince?: number;
  /** Whether the counts were compared: not while the item is busy, large and not due, or has entries known to be wrong. */
  readonly isCounted: boolean;
  /** Whether the archive's units were compared with the counts: not while it is not due, the item not quiet or orders differ. */
  readonly areUnitsCompared: boolean;
  /** Why the archive was not looked at, or not any more. */
  readonly archiveProblem?: string;
}

/** Orders in flight change within this time. Only what differs in both looks is a difference. */
const SECOND_LOOK_MS = 2_000;
/** Concurrent questions to the provider and to Temporal. */
const CONCURRENCY = 8;
/** Suspects of one second look. With more, the audit continues after it. */
const SUSPECTS_MAX = 1_000;
/** Entries that are all compared with their runs and charges in each audit: a second or two. */
const READ_EACH_TIME_MAX = 2_000;
/** Entries that are counted in each audit: about half a second. A million takes half a minute of a core. */
const COUNTED_EACH_TIME_MAX = 20_000;
const COUNT_EVERY_MS = 24 * 3_600_000;
/** Counting is not continued by the next step, so it may take longer than one. */
const COUNT_MS_MAX = 5 * 60_000;

/** Compares an item's ledger, workflows, charges and archive, page by page. Changes nothing. */
export async function auditItem(deps: ReconciliationDeps, scope: AuditScope): Promise<AuditResult> {
  const { itemId } = scope;
  const { repair, registry } = deps;
  const token = await registry.find(itemId);
  const { free, open, hasArchived } = await repair.standing(itemId);
  const nothingCounted = { isCounted: false, areUnitsCompared: false };
  const whole = { kind: 'audited', orders: 0, isWhole: true, ...nothingCounted } as const;
  if (!open) {
    if (token !== undefined) return { ...whole, differences: [LOST] };
    // With a stock key, the item is on sale and has no order yet.
    return free === null ? { kind: 'unknown' } : { ...whole, differences: [] };
  }
  const looking = hasArchived ? deps : { ...deps, archive: NOTHING_LEFT };
  const { orders, suspects, next, windows, isWhole, unended } = await findSuspects(looking, scope);
  if (suspects.size > 0) await deps.wait(SECOND_LOOK_MS);
  const differences = suspects.size > 0 ? await compareAgain(looking, itemId, [...suspects]) : [];
  differences.push(...unended);
  const missing = differences.flatMap(({ kind, requestId = '' }) =>
    kind === 'entry-missing' ? (windows.get(requestId as RequestId) ?? []) : [],
  );
  const looked = () => {
    const { problem } = deps.archiveLook;
    return problem === undefined ? {} : { archiveProblem: problem };
  };
  const result = {
    kind: 'audited' as const,
    orders,
    isWhole,
    ...nothingCounted,
    ...(missing.length > 0 && { missingSince: Math.min(...missing) }),
  };
  if (token === undefined) differences.push(UNREGISTERED);
  if (next !== undefined) return { ...result, ...looked(), differences, next };
  if (free === null) {
    const there = `no key inventory:${itemId}, so that no unit is free`;
    differences.push({ kind: 'stock-missing', there, should: 'the free units' });
  }
  if (free !== null && !/^\d{1,15}$/.test(free)) {
    const there = `inventory:${itemId} is ${JSON.stringify(free.slice(0, 40))}`;
    differences.push({ kind: 'stock-unreadable', there, should: 'a whole number of units' });
    return { ...result, ...looked(), differences };
  }
  const counts = await compareCounts(deps, scope, differences);
  differences.push(...(counts ?? []));
  const units = await unitDifferences(deps, scope, differences);
  return {
    ...result,
    ...looked(),
    differences: [...differences, ...(units ?? [])],
    isCounted: counts !== undefined,
    areUnitsCompared: units !== undefined,
  };
}

/** For an item that no order has left. */
const NOTHING_LEFT: ReconciliationDeps['archive'] = {
  soldAmong: () => Promise.resolve(new Set()),
};

const LOST: Difference = {
  kind: 'ledger-lost',
  there: 'a ledger that is registered and not in Redis',
  should: 'flash-sale stock rebuild, or stock open',
};
const UNREGISTERED: Difference = {
  kind: 'ledger-unregistered',
  there: 'an open ledger that Temporal does not know',
  should: 'registered',
  mend: 'register',
};

/** Undefined where the counts cannot be compared now. */
async function compareCounts(
  { repair, now = Date.now }: ReconciliationDeps,
  { itemId, countedAt = 0, hasTime = () => true }: AuditScope,
  differences: readonly Difference[],
): Promise<Difference[] | undefined> {
  const isDue = now() - countedAt >= COUNT_EVERY_MS;
  if (!isDue && (await repair.size(itemId)) > COUNTED_EACH_TIME_MAX) return undefined;
  if (differences.some(({ kind }) => kind === 'entry-unreadable')) return undefined;
  // While a sold order has no entry, the entries are wrong, and counts made from them would be wrong as well.
  const isComplete = !differences.some(({ kind }) => kind === 'entry-missing');
  const until = now() + COUNT_MS_MAX;
  const counts = await repair.compareCounts(itemId, () => {
    // Not its answer, but it tells the server that the audit is alive.
    hasTime();
    return now() < until;
  });
  return counts?.map(({ field, there, should }) => ({
    kind: 'counts',
    there: `${field} is ${there}`,
    should: String(should),
    ...(isComplete && { mend: 'recount' as const }),
  }));
}

/** Undefined where the units cannot be compared now. What differs one by one would only be named once more. */
async function unitDifferences(
  deps: ReconciliationDeps,
  { itemId, unitsComparedAt = 0 }: AuditScope,
  differences: readonly Difference[],
): Promise<Difference[] | undefined> {
  const { archiveLook, now = Date.now } = deps;
  if (archiveLook.problem !== undefined || differences.length > 0) return undefined;
  if (now() - unitsComparedAt < COUNT_EVERY_MS) return undefined;
  return compareUnits(deps, itemId);
}

interface Suspects {
  orders: number;
  readonly suspects: Set<RequestId>;
  /** The start of the time in which a suspect's confirmed run ended. */
  readonly windows: Map<RequestId, number>;
  /** Orders of the archive without an end, each looked up by its id. */
  readonly unended: Difference[];
  /** The look-up of the last page. */
  looking: Promise<void>;
  next?: AuditPosition | undefined;
  isWhole: boolean;
}

/**
 * The first look uses Temporal's listing, which may be seconds behind: it only finds the orders to look at again. It reads
 * a page of entries or of runs at a time.
 */
async function findSuspects(deps: ReconciliationDeps, scope: AuditScope): Promise<Suspects> {
  const { itemId, runsSince = 0, isArchiveDue = true, hasTime = () => true } = scope;
  const next = scope.position ?? (await beginning(deps, scope));
  const isWhole = 'cursor' in next || ('isWhole' in next && next.isWhole);
  const sets = { suspects: new Set<RequestId>(), windows: new Map<RequestId, number>() };
  const looking = Promise.resolve();
  const found: Suspects = { orders: 0, ...sets, unended: [], looking, next, isWhole };
  const size = () => found.suspects.size + found.unended.length;
  while (found.next !== undefined && size() < SUSPECTS_MAX && hasTime()) {
    if ('cursor' in found.next) {
      const page = await deps.repair.page(itemId, found.next.cursor);
      await addOfEntries(deps, scope, page.orders, found);
      const isLast = page.next === '0';
      found.next = isLast ? { runsFrom: runsSince, isWhole: true } : { cursor: page.next };
    } else if ('changesFrom' in found.next) {
      const page = await deps.repair.changes(itemId, found.next.changesFrom);
      if (page === 'trimmed') {
        found.next = { cursor: '0' };
        found.isWhole = true;
      } else {
        await addOfEntries(deps, scope, page.orders, found);
        found.next = page.next === undefined ? { runsFrom: runsSince } : { changesFrom: page.next };
      }
    } else if ('runsFrom' in found.next) {
      const after = isArchiveDue ? { unendedAfter: null, isWhole: found.isWhole } : undefined;
      found.next = (await addOfRuns(deps, scope, found.next.runsFrom, found)) ?? after;
    } else {
      found.next = await addOfUnended(deps, itemId, found.next.unendedAfter ?? undefined, found);
    }
  }
  await found.looking;
  return found;
}

/** A small item is read as a whole each time. */
async function beginning(
  { repair }: ReconciliationDeps,
  { itemId, changedSince, readEachTimeMax = READ_EACH_TIME_MAX }: AuditScope,
): Promise<AuditPosition> {
  if (changedSince === undefined || (await repair.size(itemId)) <= readEachTimeMax) {
    return { cursor: '0' };
  }
  return { changesFrom: String(changedSince) };
}

/** The first look does not read the log: it looks again at every order that may have lost its record. */
const FIRST_LOOK = {
  isLogRead: true,
  hasRecord: false,
  isUntold: false,
  runsKeptMs: Infinity,
} as const;

async function addOfEntries(
  deps: ReconciliationDeps,
  { itemId, finishedSince = 0, isArchiveDue = true }: AuditScope,
  page: readonly StoredOrder[],
  found: Suspects,
): Promise<void> {
  const { runs, archiveLook, now = Date.now } = deps;
  found.orders += page.length;
  const recent = page.filter(({ entry }) => {
    if ('problem' in entry || entry.finishedAt === undefined) return true;
    return entry.finishedAt >= finishedSince;
  });
  const listed = await runs.latest(recent.map(({ requestId }) => requestId));
  await forEachConcurrently(recent, CONCURRENCY, async ({ requestId, entry }) => {
    const run = listed.get(requestId);
    const charges = await chargesOf(deps, { requestId, entry });
    const facts = { requestId, entry, run, charges, now: now() };
    if (compareOrder({ ...facts, ...FIRST_LOOK }).length > 0) found.suspects.add(requestId);
  });
  // The next page is read while the archive looks these up.
  await found.looking;
  found.looking = archiveLook.untold(itemId, isArchiveDue ? page : recent, now()).then((untold) => {
    for (const requestId of untold) found.suspects.add(requestId);
  });
}

/** Confirmed runs that are read at once. */
const RUNS_AT_ONCE = 5_000;
/** The listing may be behind by so much: the runs of this time are read by the next audit as well. */
const LISTING_BEHIND_MS = 60_000;

/**
 * Looks for the entries of the confirmed runs of a span of time that has few of them, and where not all entries are read for
 * those of the others. Returns where to continue.
 */
async function addOfRuns(
  deps: ReconciliationDeps,
  scope: AuditScope,
  from: number,
  found: Suspects,
): Promise<AuditPosition | undefined> {
  const { repair, runs, archive, now = Date.now } = deps;
  const { itemId } = scope;
  const { isWhole } = found;
  const end = now();
  const span = { from: Math.max(from, end - (await runs.keptMs()) - LISTING_BEHIND_MS), to: end };
  while (span.to - span.from > 1_000 && (await runs.countConfirmed(itemId, span)) > RUNS_AT_ONCE) {
    span.to = Math.ceil((span.from + span.to) / 2);
  }
  for await (const requestIds of runs.confirmed(itemId, span)) {
    const missing = await repair.withoutEntry(itemId, requestIds);
    const left = await archive.soldAmong(itemId, missing);
    for (const requestId of missing) {
      if (left.has(requestId)) continue;
      found.suspects.add(requestId);
      found.windows.set(requestId, span.from);
    }
  }
  if (!isWhole) {
    for await (const requestIds of runs.unsold(itemId, span)) {
      await addOfEntries(deps, scope, await repair.entries(itemId, requestIds), found);
    }
  }
  return span.to < end ? { runsFrom: span.to, isWhole } : undefined;
}

/** Looks for the archive's orders without an end in ledger and workflows, a page of them. Returns where to continue. */
async function addOfUnended(
  deps: ReconciliationDeps,
  itemId: ItemId,
  after: UnendedCursor | undefined,
  found: Suspects,
): Promise<AuditPosition | undefined> {
  const { repair, runs, archiveLook, now = Date.now } = deps;
  const { orders, next } = await archiveLook.unended(itemId, after, now());
  const requestIds = orders.map(({ order }) => order.requestId);
  const missing = new Set(await repair.withoutEntry(itemId, requestIds));
  const listed = await runs.latest([...missing]);
  const suspects = orders.filter(
    ({ order: { requestId } }) => listed.get(requestId)?.status !== 'running',
  );
  await forEachConcurrently(suspects, CONCURRENCY, async (order) => {
    const difference = await compareUnended(deps, order);
    if (difference) found.unended.push(difference);
  });
  return next && { unendedAfter: next, isWhole: found.isWhole };
}

/** Reads each suspect by its id, so nothing is stale. */
async function compareAgain(
  deps: ReconciliationDeps,
  itemId: ItemId,
  suspects: readonly RequestId[],
): Promise<Difference[]> {
  const { repair, runs, now = Date.now } = deps;
  const seen: OrderFacts[] = [];
  const runsKeptMs = await runs.keptMs();
  // Before the workflows are looked up: a record that ingest has read by now has started its workflow.
  const isLogRead = await deps.isLogRead();
  await forEachConcurrently(suspects, CONCURRENCY, async (requestId) => {
    const entry = await repair.entry(itemId, requestId);
    const run = await runs.look(requestId);
    // It may have left the ledger since the first look.
    if (!entry && (await deps.archive.soldAmong(itemId, [requestId])).has(requestId)) return;
    const charges = entry ? await chargesOf(deps, { requestId, entry }) : [];
    const facts = { requestId, entry, run, charges, isLogRead, runsKeptMs, now: now() };
    seen.push({ ...facts, hasRecord: false, isUntold: false });
  });
  const ended = seen.flatMap(({ requestId, entry }): StoredOrder[] =>
    entry ? [{ requestId: requestId as RequestId, entry }] : [],
  );
  const untold = await deps.archiveLook.untold(itemId, ended, now());
  const lost = seen.flatMap((facts) => lostRecord(facts) ?? []);
  const logged = lost.length > 0 ? await deps.findRecords(lost) : new Set<string>();
  return seen.flatMap((facts) =>
    compareOrder({
      ...facts,
      hasRecord: logged.has(facts.requestId),
      isUntold: untold.has(facts.requestId as RequestId),
    }),
  );
}

/** The order whose record is lost unless the log has it. */
function lostRecord(facts: OrderFacts): AcceptedOrder | undefined {
  const isLost = compareOrder(facts).some(({ kind }) => kind === 'record-lost');
  if (!isLost || facts.entry === undefined || 'problem' in facts.entry) return undefined;
  return { requestId: facts.requestId as RequestId, acceptedAt: facts.entry.acceptedAt };
}

/** Charges are compared only for orders that are sold or released: those of others may still change. */
function chargesOf({ lookUpCharges }: ReconciliationDeps, { requestId, entry }: StoredOrder) {
  if ('problem' in entry || (entry.state !== 'sold' && entry.state !== 'released')) return [];
  return lookUpCharges(requestId, entry);
}

/** The charges of all generations of an order. Throws when the provider gives no definite answer. */
export type LookUpCharges = (
  requestId: string,
  entry: Pick<Order, 'orderId' | 'acceptedAt'> & { readonly generation: number },
) => Promise<readonly Charge[]>;

/** Looks charges up key by key. */
export function createChargeLookup(provider: Pick<PaymentProvider, 'find'>): LookUpCharges {
  return async (requestId, entry) => {
    const charges: Charge[] = [];
    for (let generation = 1; generation <= entry.generation; generation++) {
      const key = paymentKey(requestId, entry.orderId, generation);
      const found = await provider.find(key, keySinceOf(entry));
      charges.push(
        found?.kind === 'charged'
          ? { ...found, generation, charged: true }
          : { generation, charged: false },
      );
    }
    return charges;
  };
}
