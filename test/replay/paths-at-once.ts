import { losesItsCharge, noAnswer } from '../support/held-up';
import { drivesOf, isDeclined, losesItsSale, nothingSpecial } from './drives';
import type { Path } from './path';

const { anOrderThat, cancelledDuringItsCharge } = drivesOf((saga, order) =>
  saga.start(order, 'REJECT_DUPLICATE', { firstCharge: 'local' }),
);

/**
 * Paths of an order whose first charge is made at once, as of orders older than parking. `chargePayment` twice: that charge,
 * and the regular one.
 */
export const AT_ONCE_PATHS: Readonly<Record<string, Path>> = {
  'at-once-confirmed': {
    steps: ['reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat(nothingSpecial),
  },
  'at-once-declined': {
    steps: ['reserveStock', 'chargePayment', 'releaseStock', 'deadLetter'],
    outcome: 'payment-declined',
    drive: anOrderThat(isDeclined),
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
    drive: anOrderThat(losesItsSale),
  },
  'at-once-not-where-the-generation-was-open': {
    steps: ['reserveStock', 'chargePayment', 'confirmSale'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => saga.ledger.reserve(order, 1)),
  },
  'at-once-in-doubt-and-cancelled': {
    steps: ['reserveStock', 'chargePayment', 'chargePayment', 'releaseStock', 'refundPayment'],
    outcome: 'cancelled',
    drive: cancelledDuringItsCharge(noAnswer),
  },
};
