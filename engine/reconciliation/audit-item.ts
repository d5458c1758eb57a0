import { type ItemId, type Order, type RequestId, paymentKey } from '../orders/order';
import type { PaymentProvider } from '../payments/payment-provider';
import type { LedgerRegistry } from '../stock/ledger-registry';
import type { StockLedger } from '../stock/stock-ledger';
import type { LedgerOpening } from '../stock/ledger-opener';
import type { LedgerMaintenance, StoredOrder } from '../stock/ledger-maintenance';
import { compareOrder, type Charge, type Difference, type OrderFacts } from './compare-order';
import { forEachConcurrently, type OrderRuns } from './order-runs';

/** What audit and repair use. */
export interface ReconciliationDeps {
  readonly repair: LedgerMaintenance;
  readonly opening: Pick<LedgerOpening, 'begin'>;
  readonly registry: Pick<LedgerRegistry, 'find' | 'register'>;
  readonly ledger: Pick<StockLedger, 'confirm' | 'release' | 'isRefundable' | 'resolveCharge'>;
  readonly runs: OrderRuns;
  readonly provider: Pick<PaymentProvider, 'refund'>;
  readonly lookUpCharges: LookUpCharges;
  /** Whether ingest has read every record that the orders topic holds now. */
  readonly isLogRead: () => Promise<boolean>;
  /** Which of these orders the log has a record of. */
  readonly findRecords: (orders: readonly AcceptedOrder[]) => Promise<ReadonlySet<string>>;
  readonly appendOrder: (order: Order) => Promise<unknown>;
  readonly wait: (ms: number) => Promise<unknown>;
  readonly now?: () => number;
}

type AcceptedOrder = Pick<Order, 'requestId' | 'acceptedAt'>;

/** `unknown`: the item has no stock and never had a ledger. */
export type AuditResult =
  | { readonly kind: 'unknown' }
  | {
      readonly kind: 'audited';
      readonly orders: number;
      readonly differences: readonly Difference[];
    };

/** Orders in flight change within this time. Only what differs in both looks is a difference. */
const SECOND_LOOK_MS = 2_000;
/** Concurrent questions to the provider and to Temporal. */
const CONCURRENCY = 8;
/** A recount blocks Redis for all others while it runs. */
const COUNTED_ENTRIES_MAX = 20_000;

/**
 * Compares an item's ledger, workflows and charges. Changes nothing. With `finishedWithinMs`, orders that finished earlier
 * are only counted.
 */
export async function auditItem(
  deps: ReconciliationDeps,
  options: { readonly itemId: ItemId; readonly finishedWithinMs?: number },
): Promise<AuditResult> {
  const { itemId } = options;
  const { repair, registry } = deps;
  const token = await registry.find(itemId);
  const { free, open } = await repair.standing(itemId);
  if (!open) {
    if (token !== undefined) return { kind: 'audited', orders: 0, differences: [LOST] };
    // With a stock key, the item is on sale and has no order yet.
    return free === null ? { kind: 'unknown' } : { kind: 'audited', orders: 0, differences: [] };
  }
  const differences: Difference[] = token === undefined ? [UNREGISTERED] : [];
  const { orders, suspects } = await findSuspects(deps, options);
  if (suspects.length > 0) {
    await deps.wait(SECOND_LOOK_MS);
    differences.push(...(await compareAgain(deps, itemId, suspects)));
  }
  const isReadable = !differences.some(({ kind }) => kind === 'entry-unreadable');
  if (free !== null && !/^\d{1,15}$/.test(free)) {
    const there = `inventory:${itemId} is ${JSON.stringify(free.slice(0, 40))}`;
    differences.push({ kind: 'stock-unreadable', there, should: 'a whole number of units' });
  } else if (orders <= COUNTED_ENTRIES_MAX && isReadable) {
    // While a sold order has no entry, the entries are wrong, and counts made from them would be wrong as well.
    const isComplete = !differences.some(({ kind }) => kind === 'entry-missing');
    for (const { field, there, should } of await repair.compareCounts(itemId)) {
      differences.push({
        kind: 'counts',
        there: `${field} is ${there}`,
        should: String(should),
        ...(isComplete && { mend: 'recount' }),
      });
    }
  }
  return { kind: 'audited', orders, differences };
}

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

/** The first look does not read the log: it looks again at every order that may have lost its record. */
const FIRST_LOOK = { isLogRead: true, hasRecord: false, runsKeptMs: Infinity } as const;

/** The first look uses Temporal's listing, which may be seconds behind: it only finds the orders to look at again. */
async function findSuspects(
  deps: ReconciliationDeps,
  { itemId, finishedWithinMs = Infinity }: Parameters<typeof auditItem>[1],
) {
  const { repair, runs, now = Date.now } = deps;
  const listed = new Map(await runs.list(itemId));
  const suspects = new Set<RequestId>();
  let orders = 0;
  for await (const page of repair.entries(itemId)) {
    orders += page.length;
    const recent = page.filter(({ entry }) => {
      if ('problem' in entry || entry.finishedAt === undefined) return true;
      return now() - entry.finishedAt < finishedWithinMs;
    });
    await forEachConcurrently(recent, CONCURRENCY, async ({ requestId, entry }) => {
      const run = listed.get(requestId);
      const charges = await chargesOf(deps, { requestId, entry });
      const facts = { requestId, entry, run, charges, now: now() };
      if (compareOrder({ ...facts, ...FIRST_LOOK }).length > 0) suspects.add(requestId);
    });
    for (const { requestId } of page) listed.delete(requestId);
  }
  for (const [requestId, run] of listed) {
    const facts = { requestId, entry: undefined, run, charges: [], now: now() };
    if (compareOrder({ ...facts, ...FIRST_LOOK }).length > 0) suspects.add(requestId);
  }
  return { orders, suspects: [...suspects] };
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
    const charges = entry ? await chargesOf(deps, { requestId, entry }) : [];
    const facts = { requestId, entry, run, charges, isLogRead, runsKeptMs, now: now() };
    seen.push({ ...facts, hasRecord: false });
  });
  const lost = seen.flatMap((facts) => lostRecord(facts) ?? []);
  const logged = lost.length > 0 ? await deps.findRecords(lost) : new Set<string>();
  return seen.flatMap((facts) =>
    compareOrder({ ...facts, hasRecord: logged.has(facts.requestId) }),
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
  return lookUpCharges(requestId, entry.generation);
}

/** The charges of generations 1 to `generations` of an order. Throws when the provider gives no definite answer. */
export type LookUpCharges = (requestId: string, generations: number) => Promise<readonly Charge[]>;

const LEDGER_MS_MAX = 5_000;

/**
 * Looks charges up key by key. The payment port returns no amounts; they come from the simulator's `GET /ledger`, where
 * `paymentUrl` has one.
 */
export async function createChargeLookup(
  provider: Pick<PaymentProvider, 'find'>,
  paymentUrl: string,
): Promise<LookUpCharges> {
  const signal = AbortSignal.timeout(LEDGER_MS_MAX);
  const response = await fetch(`${paymentUrl}/ledger`, { signal });
  const rows = response.status === 200 ? await response.json() : [];
  const amounts = new Map(
    (rows as readonly { key: string; amount: number }[]).map(({ key, amount }) => [key, amount]),
  );
  return async (requestId, generations) => {
    const charges: Charge[] = [];
    for (let generation = 1; generation <= generations; generation++) {
      const key = paymentKey(requestId, generation);
      const found = await provider.find(key);
      charges.push({
        generation,
        charged: found?.kind === 'charged',
        paymentId: found?.kind === 'charged' ? found.paymentId : undefined,
        amountMinor: amounts.get(key),
      });
    }
    return charges;
  };
}
