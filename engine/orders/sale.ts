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
}

/** The most units of one restock: a larger number is a typing error. */
export const RESTOCK_UNITS_MAX = 1_000_000_000;

/** The largest price of a unit, in minor units: the total of the largest order is still a safe integer. */
export const PRICE_MINOR_MAX = 100_000_000;

/** The latest time in a sale, in milliseconds since the epoch: the end of the year 9999. */
export const SALE_TIME_MAX = 253_402_300_799_999;

/** Whether it is a currency of ISO 4217, so that a typing error is found before the payment provider sees it. */
export function isCurrency(word: string): boolean {
  return Intl.supportedValuesOf('currency').includes(word);
}

/** The number of decimal digits of a currency: 2 for USD, 0 for JPY. */
export function minorDigits(currency: string): number {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return format.resolvedOptions().maximumFractionDigits ?? 2;
}
