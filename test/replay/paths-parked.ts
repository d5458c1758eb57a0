import type { Order } from '../../engine/orders/order';
import { isParked, loseLedger, makeSick } from '../support/sick-item';
import type { Saga } from '../support/saga';
import type { Step } from '../support/step-hooks';
import { drivesOf, isDeclined, losesItsSale, nothingSpecial } from './drives';
import type { Path } from './path';

const start = (saga: Saga, order: Order) => saga.start(order);
const { anOrderThat } = drivesOf(start);

/** The item's ledger is lost from before a step until the order is parked. `meanwhile`: what happens to the parked order. */
const parkedIn =
  (
    step: Step,
    arrange: (saga: Saga, order: Order) => unknown = nothingSpecial,
    meanwhile: (saga: Saga, order: Order) => unknown = nothingSpecial,
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
  };

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
