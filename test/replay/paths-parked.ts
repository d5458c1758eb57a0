import type { Order } from '../../engine/orders/order';
import { isParked, makeSick } from '../support/sick-item';
import type { Saga } from '../support/saga';
import { drivesOf, isDeclined, losesItsSale, nothingSpecial } from './drives';
import type { Path } from './path';

/** Starts an order as before its steps at once were made one. */
const { anOrderThat, parkedIn } = drivesOf((saga: Saga, order: Order) =>
  saga.start(order, 'REJECT_DUPLICATE', { firstCharge: 'local', parking: true }),
);

/** Paths of an order that parks. The step at which it parks is there twice: tried at once, and retried by the server. */
export const PARKED_PATHS: Readonly<Record<string, Path>> = {
  'parked-and-confirmed': {
    steps: ['reserveStock', 'reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: parkedIn('reserveStock'),
  },
  'parked-and-cancelled': {
    steps: ['reserveStock', 'reserveStock', 'releaseStock', 'releaseStock'],
    outcome: 'cancelled',
    drive: parkedIn('reserveStock', nothingSpecial, async (saga, order) => {
      const handle = saga.handleOf(order);
      await handle.cancel();
      await isParked(handle, 'releaseStock');
    }),
  },
  'parked-in-the-release': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock', 'releaseStock', 'deadLetter'],
    outcome: 'payment-declined',
    drive: parkedIn('releaseStock', isDeclined),
  },
  'parked-in-the-refund': {
    steps: [
      ...(['reserveStock', 'chargePayment', 'confirmSale', 'releaseStock'] as const),
      ...(['refundPayment', 'refundPayment', 'deadLetter'] as const),
    ],
    outcome: 'sale-lost',
    drive: parkedIn('refundPayment', losesItsSale),
  },
  'confirmed-after-a-sick-moment': {
    steps: ['reserveStock', 'chargePayment', 'confirmSale', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'before', 'confirmSale', async () => {
        const mend = await makeSick(saga, order);
        saga.onStep(order, 'before', 'confirmSale', mend);
      });
    }),
  },
};
