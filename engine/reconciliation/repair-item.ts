import { orderOf } from '../orders/ledger';
import { type ItemId, type Order, type RequestId, paymentKey } from '../orders/order';
import type { ByHand } from '../stock/ledger-maintenance';
import type { ReconciliationDeps } from './audit-item';
import type { Difference, Mend } from './compare-order';

/** Repairs every difference that has a `mend`. Each repair may be repeated; the next audit shows what it changed. */
export async function repairItem(
  deps: ReconciliationDeps,
  {
    itemId,
    differences,
    ...who
  }: ByHand & { readonly itemId: ItemId; readonly differences: readonly Difference[] },
): Promise<void> {
  const done = new Set<Mend>();
  for (const { mend, requestId } of differences) {
    if (mend === undefined) continue;
    if (requestId === undefined || mend === 'reclaim') {
      // These repair the whole item at once.
      if (!done.has(mend)) await mendItem(deps, itemId, mend, who);
      done.add(mend);
    } else {
      await mendOrder(deps, { itemId, requestId: requestId as RequestId }, mend, who);
    }
  }
}

async function mendItem(
  { repair, opening, registry }: ReconciliationDeps,
  itemId: ItemId,
  mend: Mend,
  who: ByHand,
): Promise<void> {
  if (mend === 'reclaim') await repair.reclaimExpired(itemId);
  if (mend === 'recount') await repair.mendCounts(itemId, who);
  if (mend === 'register') {
    const { kind, token } = await opening.begin(itemId, '');
    if (kind === 'opened') await registry.register(itemId, token);
  }
}

async function mendOrder(
  deps: ReconciliationDeps,
  { itemId, requestId }: { readonly itemId: ItemId; readonly requestId: RequestId },
  mend: Mend,
  who: ByHand,
): Promise<void> {
  const { repair, ledger, runs, now = Date.now } = deps;
  const entry = await repair.entry(itemId, requestId);
  if (entry === undefined || 'problem' in entry) return;
  const order = orderOf({ itemId, requestId, entry });
  // The same bytes as the lost record: if that one turns up later, ingest finds the workflow started.
  if (mend === 'append-record') await deps.appendOrder(order);
  // The new run continues the same generation, so it uses the same payment key and cannot charge twice.
  if (mend === 'start-again') await runs.startAgain(order, who);
  const run = await runs.look(requestId);
  if (!run || run.status === 'running') return;
  if (mend === 'confirm') {
    const { generation, paymentId = '' } = await runs.result(requestId, run.runId);
    await ledger.confirm({ itemId, requestId, generation, paymentId, fence: now() });
  }
  if (mend === 'give-up') {
    await releaseAndRefund(deps, order, run.status === 'cancelled' ? 'cancelled' : 'sale-lost');
  }
}

/** As the workflow does: first release, which closes the generation, then refund every unresolved charge. */
async function releaseAndRefund(
  { ledger, provider, now = Date.now }: ReconciliationDeps,
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
