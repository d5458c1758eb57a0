import type { ItemId, RequestId } from '../orders/order';
import type { LedgerRegistry } from '../stock/registry/ledger-registry';
import type { LedgerMaintenance, StoredOrder } from '../stock/upkeep/ledger-repair';
import type { LookUpCharges } from './charge-lookup';
import { compareOrder, type OrderFacts } from './compare-order';
import type { Difference } from './difference';
import type { OrderRun, OrderRuns } from './order-runs';

export interface AuditDeps {
  readonly repair: LedgerMaintenance;
  readonly registry: Pick<LedgerRegistry, 'find'>;
  readonly runs: OrderRuns;
  readonly lookUpCharges: LookUpCharges;
  readonly isLogRead: () => Promise<boolean>;
  /** Waits some ms between the two looks. */
  readonly wait: (ms: number) => Promise<unknown>;
  readonly now?: () => number;
}

export interface AuditOptions {
  readonly itemId: ItemId;
  /** Orders that have come to their outcome earlier than so many ms ago are only counted; absent: all are looked at. */
  readonly finishedWithinMs?: number;
}

/** `unknown`: nothing is sold under this id and nothing ever was. */
export type AuditAnswer =
  | { readonly kind: 'unknown' }
  | {
      readonly kind: 'audited';
      readonly orders: number;
      readonly differences: readonly Difference[];
    };

/** Orders in flight settle within that; what differs in both looks is a difference. */
const SECOND_LOOK_MS = 2_000;
/** Questions to the provider and to Temporal under way at once. */
const LOOKS_AT_ONCE = 8;
/** Counting them anew keeps Redis from everybody else for as long as that takes. */
const COUNTED_ENTRIES_MAX = 20_000;

/** Holds an item's ledger, workflows and charges against each other. Changes nothing. */
export async function auditItem(deps: AuditDeps, options: AuditOptions): Promise<AuditAnswer> {
  const { itemId } = options;
  const { repair, registry } = deps;
  const token = await registry.find(itemId);
  const { free, open } = await repair.standing(itemId);
  const audited = (orders: number, differences: readonly Difference[]) =>
    ({ kind: 'audited', orders, differences }) as const;
  if (!open) {
    if (token !== undefined) return audited(0, [LOST]);
    // On sale, and nobody has asked for it yet.
    return free === null ? { kind: 'unknown' } : audited(0, []);
  }
  const found: Difference[] = token === undefined ? [UNREGISTERED] : [];
  const { orders, suspects } = await firstLook(deps, options);
  if (suspects.length > 0) {
    await deps.wait(SECOND_LOOK_MS);
    found.push(...(await secondLook(deps, itemId, suspects)));
  }
  if (free !== null && !/^\d{1,15}$/.test(free)) {
    const there = `inventory:${itemId} is ${JSON.stringify(free.slice(0, 40))}`;
    found.push({ kind: 'stock-unreadable', there, should: 'a whole number of units' });
  } else if (orders <= COUNTED_ENTRIES_MAX && !found.some(isUnreadable)) {
    found.push(...(await countDifferences(repair, itemId, found)));
  }
  return audited(orders, found);
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

const isUnreadable = ({ kind }: Difference) => kind === 'entry-unreadable';

/** Counts that differ are not mended while a sold order has no entry: the entries would be the wrong ones to believe. */
async function countDifferences(
  repair: LedgerMaintenance,
  itemId: ItemId,
  found: readonly Difference[],
): Promise<Difference[]> {
  const isWhole = !found.some(({ kind }) => kind === 'entry-missing');
  return (await repair.compareCounts(itemId)).map(({ field, there, should }) => ({
    kind: 'counts',
    there: `${field} is ${there}`,
    should: String(should),
    ...(isWhole && { mend: 'recount' as const }),
  }));
}

/** By the server's listing, which may be behind: it shows who is worth a second look. */
async function firstLook(deps: AuditDeps, { itemId, finishedWithinMs = Infinity }: AuditOptions) {
  const { repair, runs, now = Date.now } = deps;
  const listed = new Map(await runs.list(itemId));
  const suspects = new Set<RequestId>();
  let orders = 0;
  for await (const page of repair.entries(itemId)) {
    orders += page.length;
    const wanted = page.filter(({ entry }) => {
      if ('fault' in entry || entry.finishedAt === undefined) return true;
      return now() - entry.finishedAt < finishedWithinMs;
    });
    await inTurns(wanted, async ({ requestId, entry }) => {
      const run = listed.get(requestId);
      const charges = await chargesOf(deps, { requestId, entry });
      const facts = { requestId, entry, run, charges, isLogRead: true, now: now() };
      if (compareOrder(facts).length > 0) suspects.add(requestId);
    });
    for (const { requestId } of page) listed.delete(requestId);
  }
  for (const [requestId, run] of listed) {
    const facts = { requestId, entry: undefined, run, charges: [], isLogRead: true, now: now() };
    if (compareOrder(facts).length > 0) suspects.add(requestId);
  }
  return { orders, suspects: [...suspects] };
}

/** Each suspect by its id: nothing is stale. */
async function secondLook(
  deps: AuditDeps,
  itemId: ItemId,
  suspects: readonly RequestId[],
): Promise<Difference[]> {
  const { repair, runs, now = Date.now } = deps;
  const found: Difference[] = [];
  // Before the workflows are looked for: a record that was read by now has started its own.
  const isLogRead = await deps.isLogRead();
  await inTurns(suspects, async (requestId) => {
    const entry = await repair.entry(itemId, requestId);
    const run: OrderRun | undefined = await runs.look(requestId);
    const charges = entry ? await chargesOf(deps, { requestId, entry }) : [];
    const facts: OrderFacts = { requestId, entry, run, charges, isLogRead, now: now() };
    found.push(...compareOrder(facts));
  });
  return found;
}

/** Only of orders whose money is at rest. */
function chargesOf({ lookUpCharges }: AuditDeps, { requestId, entry }: StoredOrder) {
  if ('fault' in entry || (entry.state !== 'sold' && entry.state !== 'released')) return [];
  return lookUpCharges(requestId, entry.generation);
}

async function inTurns<T>(items: readonly T[], use: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  const work = async () => {
    for (const item of rest) await use(item);
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, work));
}
