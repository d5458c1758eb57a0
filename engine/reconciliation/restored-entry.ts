import { isCancelledBy, type Cancellation } from '../orders/cancellation-record';
import type { LedgerEntry } from '../orders/ledger';
import type { Order } from '../orders/order';
import type { RunHistory } from './run-history';

/** The entry of an accepted order without a run: its units are held for it. */
export function queuedEntry(order: Order): LedgerEntry {
  return {
    orderId: order.orderId,
    state: 'queued',
    units: order.amount,
    userId: order.userId,
    fingerprint: order.fingerprint,
    priceMinor: order.priceMinor,
    currency: order.currency,
    acceptedAt: order.acceptedAt,
    ...(order.payWithinMs !== undefined && { payWithinMs: order.payWithinMs }),
    generation: 0,
    fence: 0,
    unresolvedCharges: [],
    timeline: [{ at: order.acceptedAt, state: 'queued' }],
  };
}

/** The entry of an accepted order that ingest refused: it never held anything under an id that is another item's. */
export function refusedEntry(order: Order): LedgerEntry {
  const queued = queuedEntry(order);
  const at = order.acceptedAt;
  return {
    ...queued,
    state: 'released',
    reason: 'request-id-reused',
    finishedAt: at,
    timeline: [...queued.timeline, { at, state: 'released' }],
  };
}

/**
 * The entry of an order whose buyer was told that it is cancelled: no later run reserves it again. `restored` is what log
 * and runs say of the request_id. A sale stays, and so does the entry of a later order under the same id.
 */
export function cancelledEntry(
  cancellation: Cancellation,
  restored: LedgerEntry = {
    ...queuedEntry(cancellation.order),
    unresolvedCharges: cancellation.unresolvedCharges,
  },
): LedgerEntry {
  const { at, generation } = cancellation;
  const { state, timeline, unresolvedCharges } = restored;
  if (state === 'sold' || !isCancelledBy(cancellation, restored)) return restored;
  // No run was told which acceptance it was: the cancellation knows.
  const isUntold = state === 'held' || state === 'queued';
  const { orderId, acceptedAt, priceMinor, currency } = isUntold ? cancellation.order : restored;
  const charges = isUntold ? cancellation.unresolvedCharges : [];
  return {
    ...restored,
    orderId,
    acceptedAt,
    priceMinor,
    currency,
    unresolvedCharges: [...new Set([...unresolvedCharges, ...charges])],
    state: 'released',
    reason: 'cancelled',
    cancelledByBuyer: true,
    generation: Math.max(restored.generation, generation),
    finishedAt: at,
    // The gateway has ended it at that time, unless its run had.
    revision:
      restored.reason === 'cancelled' && restored.revision !== undefined
        ? restored.revision
        : Math.max((restored.revision ?? 0) + 1, at),
    timeline: state === 'released' ? timeline : [...timeline, { at, state: 'released' }],
  };
}

/**
 * The entry of an order from the histories of its runs, oldest first; undefined where the id belongs to another request.
 * Where the histories leave a doubt about money, the generation counts as unresolved: resolving it twice changes nothing.
 * So does the next generation, where a run may have opened and charged it unrecorded. Of an order that was accepted again
 * under its id, the entry is the acceptance that was sold, or else the last one: charges of another have other keys.
 */
export function restoredEntry(histories: readonly RunHistory[]): LedgerEntry | undefined {
  const all = histories.filter(({ isOtherOrder }) => !isOtherOrder);
  // A sale is final, whatever a later run was told.
  const sold = all.find(({ known }) => known?.state === 'sold');
  const last = sold ?? all.findLast(({ isTold }) => isTold) ?? all.at(-1);
  if (!last) return undefined;
  // A run that was not told its order may have charged for this one.
  const runs = all.filter((run) => !run.isTold || run.order.orderId === last.order.orderId);
  const { known, finishedAt } = sold ?? runs.findLast((run) => run.known !== undefined) ?? last;
  const named = new Set(runs.flatMap((run) => [...run.generations]));
  const isInDoubt = !sold && runs.some(({ mayHaveCharged }) => mayHaveCharged);
  const inDoubt = isInDoubt ? [Math.max(0, ...named) + 1] : [];
  const generation = Math.max(0, ...named, ...inDoubt);
  const queued = queuedEntry(last.order);
  if (!known) return { ...queued, generation, unresolvedCharges: inDoubt };

  const resolved = new Set(runs.flatMap((run) => [...run.resolved]));
  if (known.state === 'sold') resolved.add(known.generation);
  const unresolved = [...named, ...inDoubt].filter((one) => !resolved.has(one));
  const own = known.state === 'reserved' ? undefined : known.revision;
  // A revision is the time of its change.
  const at = own ?? finishedAt ?? last.order.acceptedAt;
  // An earlier run's outcome may have been told: what comes must be larger.
  const told = runs.flatMap((run) =>
    run.known && 'revision' in run.known ? (run.known.revision ?? []) : [],
  );
  const revision = own ?? (told.length > 0 ? Math.max(...told) : undefined);
  return {
    ...queued,
    state: known.state,
    timeline: [...queued.timeline, { at, state: known.state }],
    unresolvedCharges: unresolved.sort((one, other) => one - other),
    generation: known.state === 'sold' ? known.generation : generation,
    fence: Math.max(...runs.map(({ fence }) => fence)),
    ...(known.state === 'reserved' && known.payBy !== undefined && { payBy: known.payBy }),
    ...(known.state === 'released' && { reason: known.reason }),
    ...(known.state === 'sold' && known.paymentId !== undefined && { paymentId: known.paymentId }),
    ...(runs.some(({ cancelledByBuyer }) => cancelledByBuyer) && { cancelledByBuyer: true }),
    ...(known.state !== 'reserved' && { finishedAt: at }),
    ...(revision !== undefined && { revision }),
  };
}
