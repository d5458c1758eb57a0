/** The most that one restock may bring: a larger number is a typing error. */
export const RESTOCK_UNITS_MAX = 1_000_000_000;

/** The largest price of a unit, in minor units: as many units as one order takes still cost a safe integer. */
export const PRICE_MINOR_MAX = 100_000_000;

/** The last moment that a sale may name, in milliseconds since the epoch: the end of the year 9999. */
export const SALE_TIME_MAX = 253_402_300_799_999;

/** Whether the word is a currency of ISO 4217, so that a mistyped one is not found out by the payment provider. */
export function isCurrency(word: string): boolean {
  return Intl.supportedValuesOf('currency').includes(word);
}

/** How many minor units make one of a currency, as a number of digits: 2 for USD, 0 for JPY. */
export function minorDigits(currency: string): number {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  return format.resolvedOptions().maximumFractionDigits ?? 2;
}
