import type { Order } from '../../engine/orders/order';
import { aSignal, failureOf, type OrderHandle, type Saga } from '../support/saga';
import { isParked, loseLedger } from '../support/sick-item';
import type { Hook, Step } from '../support/step-hooks';
import type { Path } from './path';

/** Prepares an order before its run is started. */
type Arrange = (saga: Saga, order: Order) => unknown;

export const nothingSpecial: Arrange = () => undefined;

export const isDeclined: Arrange = (saga, order) => {
  saga.money.declineIf((key) => key.startsWith(`${order.requestId}:`));
};

/** Between charge and confirm a later step releases the order. */
export const losesItsSale: Arrange = (saga, order) => {
  saga.onStep(order, 'before', 'confirmSale', () =>
    saga.ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' }),
  );
};

/** Ways to drive an order whose run is started by `start`. */
export function drivesOf(start: (saga: Saga, order: Order) => Promise<OrderHandle>) {
  return {
    /** A queued order for one unit after `arrange`, and its run. */
    anOrderThat:
      (arrange: Arrange): Path['drive'] =>
      async (saga, requestId) => {
        const order = await saga.aQueuedOrder({ requestId });
        await arrange(saga, order);
        return start(saga, order);
      },

    /** The item's ledger is lost from before a step until the order is parked. `meanwhile`: what happens to the parked order. */
    parkedIn:
      (
        step: Step,
        arrange: Arrange = nothingSpecial,
        meanwhile: Arrange = nothingSpecial,
      ): Path['drive'] =>
      async (saga, requestId) => {
        const order = await saga.aQueuedOrder({ requestId });
        await arrange(saga, order);
        let mend = () => Promise.resolve<unknown>(undefined);
        saga.onStep(order, 'before', step, async () => {
          mend = await loseLedger(saga, order);
        });
        const handle = await start(saga, order);
        await isParked(handle, step);
        await meanwhile(saga, order);
        await mend();
        return handle;
      },

    /** Cancels the run while its charge is under way, after `before`. */
    cancelledDuringItsCharge:
      (...before: Hook[]): Path['drive'] =>
      async (saga, requestId) => {
        const order = await saga.aQueuedOrder({ requestId });
        const [charging, answered] = [aSignal(), aSignal()];
        saga.onStep(order, 'after', 'chargePayment', ...before, () => {
          charging.give();
          return answered.given;
        });
        const handle = await start(saga, order);
        await charging.given;
        await handle.cancel();
        await failureOf(handle);
        answered.give();
        return handle;
      },
  };
}
