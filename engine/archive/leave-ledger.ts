import { setTimeout as sleep } from 'node:timers/promises';
import type { ItemId } from '../orders/order';
import type { FinishClaims } from '../stock/claims';
import type { ArchiveOutcome, LeavingOrders } from '../stock/leaving-orders';
import type { FinishedOrder, FinishedOrders } from './finished-orders';

/** Orders of one page. A script that removes as many holds up Redis for a few milliseconds. */
const PAGE = 200;
/** Between two pages: the buyers come first. */
const PAUSE_MS = 20;

export interface LeaveLedgerDeps {
  readonly finished: FinishedOrders;
  readonly ledger: LeavingOrders;
  readonly finishClaims: FinishClaims;
  /** How long the ledger keeps an order that has ended. */
  readonly ledgerRetentionMs: number;
  /** How long a request_id is known, and an order that failed may be tried again. */
  readonly orderRetentionMs: number;
  /** Called with the number of orders that were removed. */
  readonly onLeft: (orders: number) => void;
  /** The orders of an item stay for now, because its ledger is lost or cannot be read. */
  readonly onFailure: (failure: { readonly itemId: ItemId; readonly error: unknown }) => void;
  readonly now?: () => number;
}

/**
 * Removes the orders from the ledger that ended long enough ago and that the archive has as they ended. Their claims are
 * marked before, so that a repeated request finds its order in the archive; whatever stops it in between, it may be
 * repeated, by several processes at once. Throws when PostgreSQL does not answer.
 */
export async function leaveLedger(
  deps: LeaveLedgerDeps,
  goOn: () => boolean = () => true,
): Promise<void> {
  const { finished, ledgerRetentionMs, orderRetentionMs, now = Date.now } = deps;
  for (const failed of [false, true]) {
    const keptMs = failed ? Math.max(ledgerRetentionMs, orderRetentionMs) : ledgerRetentionMs;
    const before = now() - keptMs;
    let page: readonly FinishedOrder[] = [];
    do {
      page = await finished.page({ failed, before, after: page.at(-1), limit: PAGE });
      await leave(deps, page);
      if (page.length === PAGE) await sleep(PAUSE_MS);
    } while (page.length === PAGE && goOn());
  }
}

/** Removes these orders, some hundreds, as far as they are at the end that the archive has. */
export async function leave(
  deps: LeaveLedgerDeps,
  orders: readonly FinishedOrder[],
): Promise<void> {
  const { finished, onLeft, onFailure } = deps;
  const byItem = new Map<ItemId, FinishedOrder[]>();
  for (const order of orders) {
    byItem.set(order.itemId, [...(byItem.get(order.itemId) ?? []), order]);
  }
  for (const [itemId, ofItem] of byItem) {
    try {
      const outcomes = await leaveItem(deps, itemId, ofItem);
      onLeft(outcomes.filter((outcome) => outcome === 'removed').length);
      await finished.left(ofItem.filter((_, index) => outcomes[index] !== 'stays'));
    } catch (error) {
      onFailure({ itemId, error });
    }
  }
}

async function leaveItem(
  { ledger, finishClaims, orderRetentionMs, now = Date.now }: LeaveLedgerDeps,
  itemId: ItemId,
  orders: readonly FinishedOrder[],
): Promise<ArchiveOutcome[]> {
  const found = await ledger.archivable(itemId, orders);
  const outcomes = found.map(({ outcome }) => outcome);
  // Only now: a claim of these request_ids may be a later order's.
  const leaving = [...orders.entries()].filter(([index]) => outcomes[index] === 'removed');
  const claims = leaving.map(([index, { requestId, acceptedAt }]) => ({
    requestId,
    itemId,
    // Of the entry: the buyer may be erased from the archive.
    fingerprint: found[index]?.fingerprint ?? '',
    claimUntil: acceptedAt + orderRetentionMs,
  }));
  const marked = await finishClaims(claims, now());
  const ready = leaving.filter((_, index) => marked[index] === true);
  for (const [index] of leaving) outcomes[index] = 'stays';
  if (ready.length === 0) return outcomes;
  const archived = await ledger.archive(
    itemId,
    ready.map(([, order]) => order),
  );
  if (archived === 'counting') return outcomes;
  for (const [at, [index]] of ready.entries()) outcomes[index] = archived[at] ?? 'stays';
  return outcomes;
}
