import type { ItemId } from '../orders/order';
import type { LedgerRegistry } from '../stock/ledger-registry';
import type { ClaimOrder } from '../stock/claims';
import type { ByHand } from '../stock/ledger-counts';
import type { LedgerMaintenance, RebuildResult } from '../stock/ledger-maintenance';
import type { HistoryGap, OrderHistory } from './order-history';
import { forEachConcurrently } from './order-runs';

export interface RebuildDeps {
  readonly repair: Pick<
    LedgerMaintenance,
    'standing' | 'beginRebuild' | 'stageEntries' | 'dropRebuild' | 'finishRebuild'
  >;
  readonly registry: Pick<LedgerRegistry, 'registration'>;
  readonly history: Pick<OrderHistory, 'restore'>;
  readonly claim: ClaimOrder;
}

/** Concurrent claims. */
const CONCURRENCY = 100;

/**
 * Restores a lost ledger from the history of its orders, and opens it. Refuses where the history may be incomplete: an
 * order that nobody knows of may be sold, and its units would be sold again. It may be interrupted and repeated: the entries
 * are staged in chunks and take the place of the ledger in one step at the end, only while it is lost. No order changes
 * meanwhile, because every step on a lost ledger waits. An order whose record is still on its way reserves its units later.
 */
export async function rebuildLedger(
  { repair, registry, history, claim }: RebuildDeps,
  {
    itemId,
    acceptIncomplete = false,
    ...ledger
  }: ByHand & {
    readonly itemId: ItemId;
    /** The operator gives the number of units, free or in all: only Redis knew it. */
    readonly given: 'free' | 'supply';
    readonly units: number;
    /** Restores what is known although there may be more: the operator has counted the free units. */
    readonly acceptIncomplete?: boolean;
  },
): Promise<
  | RebuildResult
  | { readonly kind: 'never-opened' }
  | { readonly kind: 'incomplete'; readonly gaps: readonly HistoryGap[] }
> {
  const registration = await registry.registration(itemId);
  if (registration === undefined) return { kind: 'never-opened' };
  if ((await repair.standing(itemId)).open) return { kind: 'open' };

  const rebuildId = await repair.beginRebuild(itemId);
  const gaps = await history.restore({ itemId, ...registration }, async (entries) => {
    // Before the ledger opens: a repeated request must find its order.
    await forEachConcurrently(entries, CONCURRENCY, ([requestId, { fingerprint }]) =>
      claim({ requestId, itemId, fingerprint }),
    );
    await repair.stageEntries(itemId, rebuildId, entries);
  });
  if (gaps.length > 0 && !acceptIncomplete) {
    await repair.dropRebuild(itemId, rebuildId);
    return { kind: 'incomplete', gaps };
  }
  return repair.finishRebuild(itemId, { ...ledger, rebuildId, token: registration.token });
}
