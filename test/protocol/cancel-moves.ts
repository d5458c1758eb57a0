import type { LedgerOf } from './model-ledger';
import { orderOf, type SagaModel } from './saga-model';
import {
  canServe,
  inWorld,
  leftEnd,
  type Move,
  type OrderWorld,
  type Run,
  type SagaRule,
  type Step,
  type Surroundings,
} from './world';

/**
 * A buyer who cancels: the gateway calls the ledger and, for a reserved order, Temporal; an order that the ledger has
 * cancelled is recorded in the log before the buyer is told. The gateway may crash in between, and the buyer may ask again.
 * The run obeys until the money is taken.
 */
export function createCancelMoves(
  ledgerOf: LedgerOf,
  around: Surroundings,
  {
    saga: { compensate, endPayment },
    off,
  }: {
    readonly saga: Pick<SagaModel, 'compensate' | 'endPayment'>;
    readonly off: SagaRule | undefined;
  },
) {
  /** What the archive tells the buyer of an order that has left. */
  const knownEnd = (order: OrderWorld) => (around.archive.isAway ? undefined : leftEnd(order));
  const cancel = async (order: OrderWorld) => {
    const ledger = ledgerOf(order.name);
    order.cancels++;
    const verdict = await ledger.cancel(order.name);
    order.cancelling = verdict === 'under-way';
    if (verdict === 'unknown' && knownEnd(order)?.outcome === 'cancelled') {
      order.toldCancelled = true;
    }
    const entry = (await ledger.look()).entries[order.name];
    if (verdict !== 'cancelled' || !entry) return;
    const { orderId, generation, owed } = entry;
    order.cancelled = {
      order: orderOf(order, orderId),
      at: 0,
      generation,
      unresolvedCharges: [...owed],
    };
  };
  return (order: OrderWorld): Move[] => {
    const moves: Move[] = [];
    const { name, run, cancelled } = order;
    if (order.cancels < order.cancelsMax && order.mayBeInTheLog && canServe(around, order)) {
      moves.push({
        name: `the buyer of ${name} cancels`,
        apply: () => cancel(order),
        optional: true,
      });
    }
    if (cancelled) {
      moves.push(
        inWorld(`the cancellation of ${name} is recorded`, () => {
          order.cancelled = undefined;
          if (off !== 'cancellation-is-in-the-log') order.cancellations.push(cancelled);
          if (off === 'cancelled-twice') order.toldCancelled = true;
          else order.recorded = true;
        }),
        inWorld(`the gateway dies before it records that ${name} is cancelled`, () => {
          order.cancelled = undefined;
        }),
      );
    }
    if (order.recorded) {
      moves.push(
        {
          name: `the buyer of ${name} is told that it is cancelled`,
          apply: async () => {
            order.recorded = false;
            // The ledger may have been lost and rebuilt between its verdict and the record.
            if (!canServe(around, order)) return;
            const verdict = await ledgerOf(name).cancel(name);
            const { outcome } = verdict === 'unknown' ? (knownEnd(order) ?? {}) : {};
            if (verdict === 'cancelled' || outcome === 'cancelled') order.toldCancelled = true;
          },
        },
        inWorld(`the gateway dies before it tells that ${name} is cancelled`, () => {
          order.recorded = false;
        }),
      );
    }
    if (order.cancelling) {
      moves.push(
        inWorld(`Temporal is asked to cancel ${name}`, () => {
          order.cancelling = false;
          if (order.run) order.run.cancelRequested = true;
        }),
        inWorld(`the gateway dies before it asks Temporal to cancel ${name}`, () => {
          order.cancelling = false;
        }),
      );
    }
    if (run?.cancelRequested && isCancellable(run)) {
      moves.push(
        inWorld(`${name}.${String(run.number)} heeds its cancellation of ${run.step}`, () => {
          if (run.step === 'wait' || run.step === 'find') endPayment(run, 'cancellation');
          else compensate(run);
        }),
      );
    }
    return moves;
  };
}

const CANCELLABLE: ReadonlySet<Step> = new Set(['reserve', 'charge', 'resolve', 'wait', 'find']);

/** Until the money is taken, and not while it compensates. */
function isCancellable({ step, compensating }: Run): boolean {
  return !compensating && CANCELLABLE.has(step);
}
