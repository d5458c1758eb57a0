import type { KnownStock } from '../archive/known-stock';
import type { ItemId } from '../orders/order';
import type { LedgerRegistry } from '../stock/ledger-registry';
import type { ClaimOrder, FinishClaims } from '../stock/claims';
import type { ByHand } from '../stock/ledger-counts';
import type { LedgerMaintenance, RebuildResult } from '../stock/ledger-maintenance';
import type { SaleFields } from '../stock/stock-operations';
import type { ArchivedHistory } from './archived-history';
import type { ArchiveGap, HistoryGap, OrderHistory } from './order-history';
import { forEachConcurrently } from './order-runs';

export interface RebuildDeps {
  readonly repair: Pick<
    LedgerMaintenance,
    | 'standing'
    | 'sale'
    | 'beginRebuild'
    | 'stageEntries'
    | 'stageOwners'
    | 'dropRebuild'
    | 'finishRebuild'
  >;
  readonly registry: Pick<LedgerRegistry, 'registration'>;
  readonly history: Pick<OrderHistory, 'restore'>;
  readonly claim: ClaimOrder;
  /** Takes the place of the history; absent: there is no archive, or it does not answer. */
  readonly archived?:
    | (Pick<ArchivedHistory, 'restore'> & {
        readonly stock: (itemId: ItemId) => Promise<KnownStock>;
        readonly finishClaims: FinishClaims;
        readonly orderRetentionMs: number;
      })
    | undefined;
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
  deps: RebuildDeps,
  {
    itemId,
    acceptIncomplete = false,
    stock,
    ...who
  }: ByHand & {
    readonly itemId: ItemId;
    /** The number of units, free or in all, of which the operator is certain. Absent: what the archive has. */
    readonly stock?: { readonly given: 'free' | 'supply'; readonly units: number } | undefined;
    /** Restores what is known although there may be more: the operator has counted the free units. */
    readonly acceptIncomplete?: boolean;
  },
): Promise<
  | (RebuildResult & { readonly sale?: SaleFields | undefined })
  | { readonly kind: 'never-opened' }
  | { readonly kind: 'incomplete'; readonly gaps: readonly (HistoryGap | ArchiveGap)[] }
  /** Nobody has said how many units there are, and the archive does not know either. */
  | { readonly kind: 'supply-unknown'; readonly why: string }
> {
  const { repair, registry, archived } = deps;
  const registration = await registry.registration(itemId);
  if (registration === undefined) return { kind: 'never-opened' };
  if ((await repair.standing(itemId)).open) return { kind: 'open' };
  const known = await archived?.stock(itemId);
  const ofArchive =
    known?.supply === undefined ? undefined : { given: 'supply' as const, units: known.supply };
  const units = stock ?? ofArchive;
  if (!units) return { kind: 'supply-unknown', why: known?.problem ?? 'there is no archive' };
  const sale = (await repair.sale(itemId)) ?? known?.sale;
  const areCounted = sale?.['units_per_user'] !== undefined;

  const rebuildId = await repair.beginRebuild(itemId);
  const { gaps, soldUnits } = await restore(
    deps,
    { itemId, ...registration },
    { rebuildId, areCounted },
  );
  if (gaps.length > 0 && !acceptIncomplete) {
    await repair.dropRebuild(itemId, rebuildId);
    return { kind: 'incomplete', gaps };
  }
  const { token } = registration;
  const ledger = { rebuildId, token, ...units, archived: { units: soldUnits, areCounted }, sale };
  const result = await repair.finishRebuild(itemId, { ...ledger, ...who });
  return { ...result, sale };
}

/** Stages the parts of a ledger. The claims come first: once it opens, a repeated request must find its order. */
async function restore(
  { repair, history, archived, claim }: RebuildDeps,
  item: Parameters<OrderHistory['restore']>[0],
  { rebuildId, areCounted }: { readonly rebuildId: string; readonly areCounted: boolean },
): Promise<Awaited<ReturnType<ArchivedHistory['restore']>>> {
  const { itemId } = item;
  const entries: Parameters<OrderHistory['restore']>[1] = async (some) => {
    await forEachConcurrently(some, CONCURRENCY, ([requestId, { fingerprint }]) =>
      claim({ requestId, itemId, fingerprint }),
    );
    await repair.stageEntries(itemId, rebuildId, some);
  };
  if (!archived) return { gaps: await history.restore(item, entries), soldUnits: 0 };
  return archived.restore(item, {
    entries,
    left: async (orders) => {
      const claims = orders.map((order) => ({
        requestId: order.requestId,
        itemId,
        fingerprint: order.fingerprint,
        claimUntil: order.acceptedAt + archived.orderRetentionMs,
      }));
      const marked = await archived.finishClaims(claims, Date.now());
      const refused = marked.find((one) => one instanceof Error);
      if (refused) throw new Error('Redis did not keep every claim', { cause: refused });
    },
    ...(areCounted && { owners: (units) => repair.stageOwners(itemId, rebuildId, units) }),
  });
}
