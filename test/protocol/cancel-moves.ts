import type { ProtocolLedger } from './model-ledger';
import { inWorld, type Move, type OrderWorld, type Run } from './world';

/**
 * A buyer who cancels: the gateway asks the ledger, and Temporal where the order is reserved, unless it dies in between;
 * the run heeds that as long as it may, and the gateway may be asked again.
 */
export function createCancelMoves(ledger: ProtocolLedger, giveUp: (run: Run) => void) {
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
          giveUp(run);
        }),
      );
    }
    return moves;
  };
}

/** Until the money is taken, and not while it gives back. */
function isCancellable({ step, compensating }: Run): boolean {
  return !compensating && (step === 'reserve' || step === 'charge' || step === 'settle');
}
