import type { LedgerEntry } from '../orders/ledger';
import { paymentKey } from '../orders/order-status';
import type { ItemId, Order, RequestId } from '../orders/order';
import type { PaymentProvider } from '../payments/payment-provider';
import type { LedgerRegistry } from '../stock/registry/ledger-registry';
import type { StockLedger } from '../stock/stock-ledger';
import type { LedgerOpening } from '../stock/upkeep/ledger-opening';
import type { ByHand, LedgerMaintenance } from '../stock/upkeep/ledger-repair';
import type { Difference, Mend } from './difference';
import type { OrderRuns } from './order-runs';

export interface RepairDeps {
  readonly repair: LedgerMaintenance;
  readonly ledger: Pick<StockLedger, 'confirm' | 'release' | 'isRefundable' | 'resolveCharge'>;
  readonly registry: Pick<LedgerRegistry, 'register'>;
  readonly opening: Pick<LedgerOpening, 'begin'>;
  readonly runs: Pick<OrderRuns, 'look' | 'result' | 'startAgain'>;
  readonly provider: Pick<PaymentProvider, 'refund'>;
  readonly appendOrder: (order: Order) => Promise<unknown>;
  readonly now?: () => number;
}

/** Mends every difference that names how. Each mend may be made twice; what comes of it, the next audit tells. */
export async function repairItem(
  deps: RepairDeps,
  {
    itemId,
    differences,
    ...who
  }: ByHand & {
    readonly itemId: ItemId;
    readonly differences: readonly Difference[];
  },
): Promise<void> {
  const done = new Set<Mend>();
  for (const { mend, requestId } of differences) {
    if (mend === undefined) continue;
    if (requestId === undefined || mend === 'reclaim') {
      // These take the item as a whole.
      if (!done.has(mend)) await mendItem(deps, itemId, mend, who);
      done.add(mend);
    } else {
      await mendOrder(deps, { itemId, requestId: requestId as RequestId }, mend, who);
    }
  }
}

async function mendItem(deps: RepairDeps, itemId: ItemId, mend: Mend, who: ByHand): Promise<void> {
  if (mend === 'reclaim') await deps.repair.reclaimExpired(itemId);
  if (mend === 'recount') await deps.repair.mendCounts(itemId, who);
  if (mend === 'register') {
    const { kind, token } = await deps.opening.begin(itemId, '');
    if (kind === 'opened') await deps.registry.register(itemId, token);
  }
}

async function mendOrder(
  deps: RepairDeps,
  { itemId, requestId }: { readonly itemId: ItemId; readonly requestId: RequestId },
  mend: Mend,
  who: ByHand,
): Promise<void> {
  const { repair, ledger, runs, now = Date.now } = deps;
  const entry = await repair.entry(itemId, requestId);
  if (entry === undefined || 'fault' in entry) return;
  const order = orderOf(itemId, requestId, entry);
  // The same bytes as the lost record: should that one still turn up, its workflow is found to be there.
  if (mend === 'append-record') await deps.appendOrder(order);
  // The run takes up the same generation, and so the same payment key: it cannot charge a second time.
  if (mend === 'start-again') await runs.startAgain(order, who);
  const run = await runs.look(requestId);
  if (!run || run.status === 'running') return;
  if (mend === 'confirm') {
    const { generation, paymentId = '' } = await runs.result(requestId, run.runId);
    await ledger.confirm({ itemId, requestId, generation, paymentId, fence: now() });
  }
  if (mend === 'give-up') {
    const reason = run.status === 'cancelled' ? 'cancelled' : 'sale-lost';
    await giveUp(deps, order, reason);
  }
}

/** As the saga does: release first, which closes the generation, then everything owed goes back. */
async function giveUp(
  { ledger, provider, now = Date.now }: RepairDeps,
  order: Order,
  reason: 'cancelled' | 'sale-lost',
): Promise<void> {
  const { itemId, requestId } = order;
  const { owed } = await ledger.release({ order, reason, fence: now() });
  for (const generation of owed) {
    const step = { itemId, requestId, generation };
    if (!(await ledger.isRefundable(step))) continue;
    await provider.refund(paymentKey(requestId, generation));
    await ledger.resolveCharge(step);
  }
}

function orderOf(itemId: ItemId, requestId: RequestId, entry: LedgerEntry): Order {
  const { fingerprint, priceMinor, currency, acceptedAt } = entry;
  return {
    ...{ requestId, itemId, userId: entry.userId as Order['userId'], amount: entry.units },
    ...{ fingerprint, priceMinor, currency, acceptedAt },
  };
}
