import { Counter } from 'prom-client';
import type { Logger } from '../../platform/logger';
import type { ForeignCharge } from './own-charge';

/** What an operator has to look at. */
export interface PaymentAlarms {
  /** A payment key holds the charge of another order. */
  readonly onForeignCharge: (foreign: ForeignCharge) => void;
  /** The payment of a key can neither be ended nor is it decided. It is asked about again, at most hourly. */
  readonly onUndecided: (key: string) => void;
}

/** Counts and logs them. Once per process. */
export function createPaymentAlarms(logger: Logger): PaymentAlarms {
  const foreignCharges = new Counter({
    name: 'flash_sale_foreign_charges_total',
    help: 'Payment keys of an order that were found to hold the charge of another one',
  });
  const undecided = new Counter({
    name: 'flash_sale_payments_undecided_total',
    help: 'Times that a payment could neither be ended nor was it decided',
  });
  return {
    onForeignCharge: (foreign) => {
      foreignCharges.inc();
      logger.error(foreign, 'a payment key holds the charge of another order');
    },
    onUndecided: (key) => {
      undecided.inc();
      logger.error({ key }, 'a payment can neither be ended nor is it decided');
    },
  };
}
