import { noAnswer } from '../support/held-up';
import { drivesOf, isDeclined, losesItsSale, nothingSpecial } from './drives';
import type { Path } from './path';

const { anOrderThat, parkedIn, cancelledDuringItsCharge } = drivesOf((saga, order) =>
  saga.start(order, 'REJECT_DUPLICATE', { firstCharge: 'at-once', parking: true }),
);

/** Paths of an order that is reserved, charged and sold in one step, as far as nothing is in the way. */
export const SOLD_AT_ONCE_PATHS: Readonly<Record<string, Path>> = {
  'sold-at-once': {
    steps: ['sellAtOnce'],
    outcome: 'confirmed',
    drive: anOrderThat(nothingSpecial),
  },
  'sold-at-once-declined': {
    steps: ['sellAtOnce', 'releaseStock', 'deadLetter'],
    outcome: 'payment-declined',
    drive: anOrderThat(isDeclined),
  },
  'sold-at-once-with-a-charge-in-doubt': {
    steps: ['sellAtOnce', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'after', 'chargePayment', noAnswer);
    }),
  },
  'sold-at-once-with-a-sale-in-doubt': {
    steps: ['sellAtOnce', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'after', 'confirmSale', noAnswer);
    }),
  },
  'sold-at-once-and-the-sale-is-lost': {
    steps: ['sellAtOnce', 'releaseStock', 'refundPayment', 'deadLetter'],
    outcome: 'sale-lost',
    drive: anOrderThat(losesItsSale),
  },
  'sold-at-once-not-where-the-generation-was-open': {
    steps: ['sellAtOnce', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => saga.ledger.reserve(order, 1)),
  },
  'sold-at-once-not-before-an-earlier-generation-is-settled': {
    steps: ['sellAtOnce', 'refundPayment', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat(async (saga, order) => {
      await saga.ledger.reserve(order, 1);
      await saga.ledger.release({ order, fence: 2, reason: 'payment-unknown' });
    }),
  },
  'sold-at-once-parked-and-confirmed': {
    steps: ['sellAtOnce', 'reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: parkedIn('reserveStock'),
  },
  'sold-at-once-in-doubt-and-cancelled': {
    steps: ['sellAtOnce', 'chargePayment', 'releaseStock', 'refundPayment'],
    outcome: 'cancelled',
    drive: cancelledDuringItsCharge(noAnswer),
  },
};
