import type { Order } from '../../engine/orders/order';
import { noAnswer } from '../support/held-up';
import { anOrder } from '../support/purchases';
import type { Saga } from '../support/saga';
import { drivesOf, isDeclined, losesItsSale, nothingSpecial } from './drives';
import type { Path } from './path';

const cancelledByBuyer = (saga: Saga, order: Order) => saga.ledger.cancel(order);

/** Starts an order as before charges were made at once: its first charge is a regular activity. */
const start = (saga: Saga, order: Order) => saga.start(order, 'REJECT_DUPLICATE', {});

const { anOrderThat, cancelledDuringItsCharge } = drivesOf(start);

/** Every path of an order with regular charges only, as of orders older than the choice. */
export const REGULAR_PATHS: Readonly<Record<string, Path>> = {
  confirmed: {
    steps: ['reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat(nothingSpecial),
  },
  'confirmed-after-a-retried-charge': {
    steps: ['reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'after', 'chargePayment', () => {
        throw new Error('the line went dead after the charge');
      });
    }),
  },
  'confirmed-as-sold-already': {
    steps: ['reserveStock'],
    outcome: 'confirmed',
    drive: async (saga, requestId) => {
      const order = await saga.aQueuedOrder({ requestId });
      await (await start(saga, order)).result();
      return saga.reset(order);
    },
  },
  'confirmed-as-sold-after-all': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      const { itemId, requestId } = order;
      saga.onStep(order, 'after', 'chargePayment', async () => {
        const sale = { itemId, requestId, generation: 1, paymentId: 'pay-of-another-run' };
        await saga.ledger.confirm({ ...sale, fence: Date.now() + 60_000 });
        noAnswer();
      });
    }),
  },
  'confirmed-once-an-earlier-generation-is-settled': {
    steps: ['reserveStock', 'refundPayment', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat(async (saga, order) => {
      await saga.ledger.reserve(order, 1);
      await saga.ledger.release({ order, fence: 2, reason: 'payment-unknown' });
    }),
  },
  'payment-declined': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock', 'deadLetter'],
    outcome: 'payment-declined',
    drive: anOrderThat(isDeclined),
  },
  'payment-unknown': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock', 'refundPayment', 'deadLetter'],
    outcome: 'payment-unknown',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'after', 'chargePayment', noAnswer);
    }),
  },
  'sale-lost': {
    steps: [
      ...(['reserveStock', 'chargePayment', 'confirmSale'] as const),
      ...(['releaseStock', 'refundPayment', 'deadLetter'] as const),
    ],
    outcome: 'sale-lost',
    drive: anOrderThat(losesItsSale),
  },
  'sale-lost-as-nobody-knows': {
    steps: [
      ...(['reserveStock', 'chargePayment', 'confirmSale'] as const),
      ...(['releaseStock', 'refundPayment', 'deadLetter'] as const),
    ],
    outcome: 'sale-lost',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'before', 'confirmSale', noAnswer);
    }),
  },
  'sale-lost-as-it-is-over': {
    steps: ['reserveStock', 'deadLetter'],
    outcome: 'sale-lost',
    drive: anOrderThat((saga, order) =>
      saga.ledger.release({ order, fence: Date.now() + 60_000, reason: 'sale-lost' }),
    ),
  },
  'sold-out': {
    steps: ['reserveStock', 'deadLetter'],
    outcome: 'sold-out',
    drive: async (saga, requestId) => {
      const order = await saga.aQueuedOrder({ requestId });
      const late = anOrder({ ...order, requestId: `${requestId}-2` as Order['requestId'] });
      return start(saga, late);
    },
  },
  'request-id-reused': {
    steps: ['reserveStock', 'deadLetter'],
    outcome: 'request-id-reused',
    drive: async (saga, requestId) => {
      const order = await saga.aQueuedOrder({ requestId });
      return start(saga, anOrder({ ...order, amount: 2 }));
    },
  },
  'cancelled-before-the-reserve': {
    steps: ['reserveStock'],
    outcome: 'cancelled',
    drive: anOrderThat(cancelledByBuyer),
  },
  'cancelled-before-the-reserve-with-a-generation-to-settle': {
    steps: ['reserveStock', 'refundPayment'],
    outcome: 'cancelled',
    drive: anOrderThat(async (saga, order) => {
      await saga.ledger.reserve(order, 1);
      await cancelledByBuyer(saga, order);
      await saga.ledger.release({ order, fence: 2, reason: 'payment-unknown' });
    }),
  },
  'cancelled-before-the-first-task': {
    steps: ['releaseStock'],
    outcome: 'cancelled',
    drive: async (saga, requestId) => {
      const order = await saga.aQueuedOrder({ requestId });
      const handle = await saga.startLater(order);
      await handle.cancel();
      return handle;
    },
  },
  'cancelled-while-a-declined-charge-is-given-back': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock'],
    outcome: 'cancelled',
    drive: anOrderThat((saga, order) => {
      isDeclined(saga, order);
      saga.onStep(order, 'after', 'chargePayment', () => cancelledByBuyer(saga, order));
    }),
  },
  'cancelled-during-the-charge': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock', 'refundPayment'],
    outcome: 'cancelled',
    drive: cancelledDuringItsCharge(),
  },
};
