import type { Price } from './order';

/** Stock of one item, in units. free + held + queued + reserved + sold = supply, always. */
export interface StockCounts {
  readonly free: number;
  readonly held: number;
  readonly queued: number;
  readonly reserved: number;
  readonly sold: number;
  readonly supply: number;
}

/** How an item is sold. Without any field: open, without a limit, at the default price. */
export interface Sale extends Partial<Price> {
  readonly unitsPerUser?: number;
  /** Milliseconds since the epoch, on the Redis server's clock. */
  readonly opensAt?: number;
  readonly closesAt?: number;
  /** Buyers pay themselves, within this time from the reservation, PAY_WITHIN_MS_MIN to _MAX. Absent: the engine charges. */
  readonly payWithinMs?: number;
}

/** The most units of one restock: a larger number is a typing error. */
export const RESTOCK_UNITS_MAX = 1_000_000_000;

/** The largest price of a unit, in minor units: the total of the largest order is still a safe integer. */
export const PRICE_MINOR_MAX = 100_000_000;

/** The latest time in a sale, in milliseconds since the epoch: the end of the year 9999. */
export const SALE_TIME_MAX = 253_402_300_799_999;

/** The least time to pay, in ms: no buyer gets through a payment page in less. */
export const PAY_WITHIN_MS_MIN = 5_000;

/**
 * The most, 12 hours: Stripe forgets an idempotency key after 24, and the payment must still be ended under its key when the
 * deadline has passed.
 */
export const PAY_WITHIN_MS_MAX = 12 * 3_600_000;

/** Whether it is a currency of ISO 4217, so that a typing error is found before the payment provider sees it. */
export function isCurrency(word: string): boolean {
  return Intl.supportedValuesOf('currency').includes(word);
}

/**
 * The number of decimal digits of a currency by ISO 4217: 2 for USD, 0 for JPY. A list of our own: the platform's differs from
 * version to version, and a price must not become another one with an update.
 */
export function minorDigits(currency: string): number {
  return DIGITS.get(currency) ?? 2;
}

/** Where they are not two. */
const DIGITS = new Map([
  ...['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG'].map(withDigits(0)),
  ...['RWF', 'UGX', 'UYI', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'].map(withDigits(0)),
  ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map(withDigits(3)),
  ...['CLF', 'UYW'].map(withDigits(4)),
]);

function withDigits(digits: number) {
  return (currency: string): [string, number] => [currency, digits];
}
