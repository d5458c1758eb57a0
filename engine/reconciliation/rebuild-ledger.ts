import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, Order, RequestId } from '../orders/order';
import type { LedgerRegistry } from '../stock/registry/ledger-registry';
import type { Queued } from '../stock/admission';
import type { ByHand, LedgerMaintenance, RebuildResult } from '../stock/upkeep/ledger-repair';
import type { OrderRuns } from './order-runs';
import { queuedEntry, restoredEntry } from './restored-entry';

export interface RebuildDeps {
  readonly repair: Pick<LedgerMaintenance, 'standing' | 'rebuild'>;
  readonly registry: Pick<LedgerRegistry, 'find'>;
  readonly runs: Pick<OrderRuns, 'stories'>;
  readonly readOrders: (itemId: ItemId) => Promise<ReadonlyMap<RequestId, Order>>;
  /** As of an accepted order; an id that another request has claimed since keeps its claim. */
  readonly claim: (order: Queued) => Promise<boolean>;
}

export interface RebuildOptions extends ByHand {
  readonly itemId: ItemId;
  /** Only the operator knows how many units there are: Redis alone knew what was put on sale. */
  readonly given: 'free' | 'supply';
  readonly units: number;
}

/** Claims under way at once. */
const CLAIMS_AT_ONCE = 100;

/**
 * Restores a lost ledger from the workflows and the log, and opens it. It may be broken off and run again: the ledger
 * comes back in one step at the end, and only while it is lost. No order can move meanwhile, since every step on a lost
 * ledger waits; an order whose record is still on its way reserves its units afresh.
 */
export async function rebuildLedger(
  { repair, registry, runs, readOrders, claim }: RebuildDeps,
  { itemId, ...ledger }: RebuildOptions,
): Promise<RebuildResult | { readonly kind: 'never-opened' }> {
  const token = await registry.find(itemId);
  if (token === undefined) return { kind: 'never-opened' };
  if ((await repair.standing(itemId)).open) return { kind: 'open' };

  const logged = await readOrders(itemId);
  const stories = await runs.stories(itemId, logged.keys());
  const entries = new Map<RequestId, LedgerEntry>();
  for (const [requestId, own] of stories) {
    const entry = restoredEntry(own);
    if (entry) entries.set(requestId, entry);
  }
  for (const [requestId, order] of logged) {
    if (!stories.has(requestId)) entries.set(requestId, queuedEntry(order));
  }

  // Before the ledger opens: a request that comes again must find its order.
  const waiting = [...entries].map(([requestId, { fingerprint }]) => ({
    requestId,
    itemId,
    fingerprint,
  }));
  while (waiting.length > 0) await Promise.all(waiting.splice(0, CLAIMS_AT_ONCE).map(claim));
  return repair.rebuild(itemId, { ...ledger, token, entries });
}
