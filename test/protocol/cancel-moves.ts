import type { ProtocolLedger } from './model-ledger';
import { inWorld, type Move, type OrderWorld, type Run } from './world';

/**
 * A buyer who cancels: the gateway calls the ledger and, for a reserved order, Temporal, unless it crashes in between. The
 * run obeys until the money is taken, and the buyer may ask again.
 */
export function createCancelMoves(ledger: ProtocolLedger, compensate: (run: Run) => void) {
  return (order: OrderWorld): Move[] => {
    const moves: Move[] = [];
    const { name, run } = order;
    if (order.cancels < order.cancelsMax && order.appended > 0) {
      moves.push({
        name: `the buyer of ${name} cancels`,
        apply: async () => {
          order.cancels++;
          const verdict = await ledger.cancel(name);
          if (verdict === 'cancelled') order.toldCancelled = true;
          order.cancelling = verdict === 'under-way';
        },
        optional: true,
      });
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
          compensate(run);
        }),
      );
    }
    return moves;
  };
}

/** Until the money is taken, and not while it compensates. */
function isCancellable({ step, compensating }: Run): boolean {
  return !compensating && (step === 'reserve' || step === 'charge' || step === 'resolve');
}
