import { Counter } from 'prom-client';
import type { Logger } from '../../platform/logger';
import type { ForeignCharge } from './own-charge';

/** Counts and logs payment keys that hold the charge of another order: an operator has to look at each. Once per process. */
export function createForeignChargeAlarm(logger: Logger): (foreign: ForeignCharge) => void {
  const foreignCharges = new Counter({
    name: 'flash_sale_foreign_charges_total',
    help: 'Payment keys of an order that were found to hold the charge of another one',
  });
  return (foreign) => {
    foreignCharges.inc();
    logger.error(foreign, 'a payment key holds the charge of another order');
  };
}
