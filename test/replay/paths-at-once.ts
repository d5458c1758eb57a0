import type { Order } from '../../domain/order';
import { losesItsCharge, noAnswer } from '../support/held-up';
import { aSignal, failureOf, type Saga } from '../support/saga';
import type { Path } from './paths';

/** A queued order for one unit that has met `arrange`, and its run as ingest starts it. */
const anOrderThat =
  (arrange: (saga: Saga, order: Order) => unknown): Path['drive'] =>
  async (saga, requestId) => {
    const order = await saga.aQueuedOrder({ requestId });
    await arrange(saga, order);
    return saga.start(order);
  };

/** Ways of an order whose first charge is made at once; `chargePayment` twice: that one, and the regular one. */
export const AT_ONCE_PATHS: Readonly<Record<string, Path>> = {
  'at-once-confirmed': {
    steps: ['reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat(() => undefined),
  },
  'at-once-declined': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock', 'deadLetter'],
    outcome: 'payment-declined',
    drive: anOrderThat((saga, order) => {
      saga.money.declineIf((key) => key.startsWith(`${order.requestId}:`));
    }),
  },
  'at-once-in-doubt-and-confirmed': {
    steps: ['reserveStock', 'chargePayment', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'after', 'chargePayment', noAnswer);
    }),
  },
  'at-once-in-doubt-for-ever': {
    steps: [
      ...(['reserveStock', 'chargePayment', 'chargePayment'] as const),
      ...(['releaseStock', 'refundPayment', 'deadLetter'] as const),
    ],
    outcome: 'payment-unknown',
    drive: anOrderThat(losesItsCharge),
  },
  'at-once-and-the-sale-is-lost': {
    steps: [
      ...(['reserveStock', 'chargePayment', 'confirmSale'] as const),
      ...(['releaseStock', 'refundPayment', 'deadLetter'] as const),
    ],
    outcome: 'sale-lost',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'before', 'confirmSale', () =>
        saga.ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' }),
      );
    }),
  },
  'at-once-not-where-the-generation-was-open': {
    steps: ['reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => saga.ledger.reserve(order, 1)),
  },
  'at-once-in-doubt-and-cancelled': {
    steps: ['reserveStock', 'chargePayment', 'chargePayment', 'releaseStock', 'refundPayment'],
    outcome: 'cancelled',
    drive: async (saga, requestId) => {
      const order = await saga.aQueuedOrder({ requestId });
      const [charging, answered] = [aSignal(), aSignal()];
      saga.onStep(order, 'after', 'chargePayment', noAnswer, () => {
        charging.give();
        return answered.given;
      });
      const handle = await saga.start(order);
      await charging.given;
      await handle.cancel();
      await failureOf(handle);
      answered.give();
      return handle;
    },
  },
};
