import type { Cancellations } from '../kafka/read-log';
import { isCancelledBy } from '../orders/cancellation-record';
import { orderOf, type LedgerEntry } from '../orders/ledger';
import {
  type ItemId,
  type Order,
  type RequestId,
  keySinceOf,
  paymentKey,
  totalMinor,
} from '../orders/order';
import { orderCharge, refundOwnCharge } from '../payments/own-charge';
import type { FoundCharge } from '../payments/payment-provider';
import type { ByHand } from '../stock/ledger-counts';
import { endByRuns } from './audit-archive';
import type { ReconciliationDeps } from './audit-item';
import type { Difference, Mend } from './compare-order';
import { forEachConcurrently } from './order-runs';
import { registerAgain } from './register-ledgers';
import { cancelledEntry } from './restored-entry';

const CONCURRENCY = 8;

/**
 * Repairs every difference that has a `mend`. Each repair may be repeated; the next audit shows what it changed. Throws at the
 * end where other systems could not be told of what it has ended: everything is repaired then.
 */
export async function repairItem(
  deps: ReconciliationDeps,
  {
    itemId,
    differences,
    ...who
  }: ByHand & { readonly itemId: ItemId; readonly differences: readonly Difference[] },
): Promise<void> {
  const done = new Set<Mend>();
  const untold: unknown[] = [];
  const outcomes = {
    publish: (order: Order, end?: LedgerEntry) =>
      deps.outcomes.publish(order, end).catch((error: unknown) => {
        untold.push(error);
      }),
  };
  const cancellations = await cancellationsOf(deps, itemId, differences);
  const mends = { ...deps, outcomes, cancellations };
  const orderOfItem = (requestId: string) => ({ itemId, requestId: requestId as RequestId });
  // There may be a thousand, each of which waits for Kafka.
  const told = differences.filter(({ mend }) => mend === 'tell');
  await forEachConcurrently(told, CONCURRENCY, ({ requestId = '' }) =>
    mendOrder(mends, orderOfItem(requestId), 'tell', who),
  );
  for (const { mend, requestId } of differences) {
    if (mend === undefined || mend === 'tell') continue;
    if (requestId === undefined || mend === 'reclaim') {
      // These repair the whole item at once.
      if (!done.has(mend)) await mendItem(deps, itemId, mend, who);
      done.add(mend);
    } else {
      await mendOrder(mends, orderOfItem(requestId), mend, who);
    }
  }
  if (untold.length > 0) {
    throw new Error(`the ends of ${untold.length} repaired orders could not be told`, {
      cause: untold[0],
    });
  }
}

/** The cancellations of the orders that would be started. The log is read for them alone. */
async function cancellationsOf(
  { readCancellations }: ReconciliationDeps,
  itemId: ItemId,
  differences: readonly Difference[],
): Promise<Cancellations> {
  const started = differences.filter(
    ({ mend }) => mend === 'append-record' || mend === 'start-again',
  );
  if (started.length === 0) return new Map();
  return readCancellations(itemId, new Set(started.map(({ requestId }) => requestId as RequestId)));
}

async function mendItem(
  { repair, opening, registry }: ReconciliationDeps,
  itemId: ItemId,
  mend: Mend,
  who: ByHand,
): Promise<void> {
  if (mend === 'reclaim') await repair.reclaimExpired(itemId);
  if (mend === 'recount') await repair.mendCounts(itemId, who);
  if (mend === 'register') await registerAgain({ opening, registry }, itemId);
}

async function mendOrder(
  deps: ReconciliationDeps & { readonly cancellations: Cancellations },
  { itemId, requestId }: { readonly itemId: ItemId; readonly requestId: RequestId },
  mend: Mend,
  who: ByHand,
): Promise<void> {
  const { repair, ledger, runs } = deps;
  const entry = await repair.entry(itemId, requestId);
  if (entry === undefined) return mendWithoutEntry(deps, { itemId, requestId }, mend, who);
  if ('problem' in entry) return;
  const order = orderOf({ itemId, requestId, entry });
  if (mend === 'tell') return deps.outcomes.publish(order);
  // The ledger has forgotten it: an order that is queued ends here, and the run of a reserved one finds the mark.
  const isCancelled = isCancelledBy(deps.cancellations.get(requestId), order);
  if (isCancelled) {
    await ledger.cancel(order);
    await deps.outcomes.publish(order);
  }
  // The same bytes as the lost record, but for what the buyer pays with, which the entry does not have: then the shop is
  // asked. If that record turns up later, ingest finds the workflow started. An order that was reserved or cancelled since
  // the audit needs none.
  const isUntouched = entry.state === 'queued' && entry.generation === 0;
  if (mend === 'append-record' && isUntouched && !isCancelled) {
    await deps.appendOrder(order);
  }
  const run = await runs.look(requestId);
  if (mend === 'start-again') {
    // The new run continues the same generation, so it uses the same payment key and cannot charge twice. What the buyer pays
    // with is not in the entry: a run that was ended from outside has it.
    const payment = run && (await runs.history(requestId, run.runId)).order.payment;
    await runs.startAgain({ ...order, payment }, who);
    return;
  }
  if (!run || run.status === 'running') return;
  // Later than every step of the runs so far, earlier than every step of a run to come: the clock of this machine is neither.
  const fence = Math.max(entry.fence, run.closedAt ?? 0);
  if (mend === 'confirm') {
    const { generation, paymentId = '' } = await runs.result(requestId, run.runId);
    const { orderId } = entry;
    await ledger.confirm({ itemId, requestId, orderId, generation, paymentId, fence });
    await deps.outcomes.publish(order);
  }
  if (mend === 'give-up') {
    const reason = run.status === 'cancelled' ? 'cancelled' : 'sale-lost';
    const payment = await endPayment(deps, order, entry);
    // Its units wait for the bank, and the next audit finds it again.
    if (payment === 'pending') return;
    const declined = payment === 'declined' && { declined: entry.generation };
    await releaseAndRefund(deps, order, { reason, fence, ...declined });
    await deps.outcomes.publish(order);
  }
}

/** An order that only the archive and Temporal know. */
async function mendWithoutEntry(
  deps: ReconciliationDeps & { readonly cancellations: Cancellations },
  { itemId, requestId }: { readonly itemId: ItemId; readonly requestId: RequestId },
  mend: Mend,
  who: ByHand,
): Promise<void> {
  const { runs, archiveLook, outcomes, now = Date.now } = deps;
  if (mend === 'tell') {
    const end = await endByRuns(runs, { itemId, requestId });
    if (end) await outcomes.publish(orderOf({ itemId, requestId, entry: end }), end);
  }
  if (mend === 'start-again') {
    const order = await archiveLook.unendedOrder(itemId, requestId, now());
    const cancellation = deps.cancellations.get(requestId);
    if (!order) return;
    // A new run reserves units, and finds a charge of the first generation by its key.
    if (!isCancelledBy(cancellation, order)) await runs.startAgain(order, who);
    // Its buyer was told so. One with charges to settle is left to an operator.
    else if (cancellation.unresolvedCharges.length === 0) {
      await outcomes.publish(order, cancelledEntry(cancellation));
    }
  }
}

/** What has become of the payment that the buyer makes, which none can be made for any more; undefined where there is none. */
async function endPayment(
  { provider }: ReconciliationDeps,
  order: Order,
  { state, generation, payBy }: LedgerEntry,
): Promise<FoundCharge['kind'] | undefined> {
  if (state !== 'reserved' || payBy === undefined) return undefined;
  const { key, keySince } = orderCharge(order, generation);
  return (await provider.cancel(key, keySince)).kind;
}

/** As the workflow does: first release, which closes the generation, then refund every unresolved charge. */
async function releaseAndRefund(
  { ledger, provider }: ReconciliationDeps,
  order: Order,
  ending: {
    readonly reason: 'cancelled' | 'sale-lost';
    readonly fence: number;
    readonly declined?: number;
  },
): Promise<void> {
  const { itemId, requestId } = order;
  const { owed, orderId } = await ledger.release({ order, ...ending });
  for (const generation of owed) {
    const step = { itemId, requestId, orderId, generation };
    if (!(await ledger.isRefundable(step))) continue;
    const key = paymentKey(requestId, orderId, generation);
    // The charge of another order stays, and is still found by the next audit.
    const due = { key, amountMinor: totalMinor(order), currency: order.currency };
    await refundOwnCharge(provider, due, keySinceOf({ orderId, acceptedAt: order.acceptedAt }));
    await ledger.resolveCharge(step);
  }
}
