import { minorDigits } from '../../orders/sale';

/*
  Stripe's amounts, by its table "Supported currencies", which differs from ISO 4217 in places.
*/
const NO_DECIMALS = new Set([
  ...['BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA'],
  ...['PYG', 'RWF', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'],
]);
/** The last digit must be 0: card networks know two. */
const THREE_DECIMALS = new Set(['BHD', 'JOD', 'KWD', 'OMR', 'TND']);
/** Without a smaller unit, and yet in hundredths that must be 00. By ISO 4217 they have no decimals, so that they are. */
const HUNDREDTHS = new Set(['ISK', 'UGX']);

/**
 * An amount as Stripe counts it, from minor units by ISO 4217. Undefined for one that it cannot charge: a fraction of what the
 * currency has there.
 */
export function toStripeAmount(amountMinor: number, currency: string): number | undefined {
  const amount = amountMinor * 10 ** (stripeDigits(currency) - minorDigits(currency));
  const isPayable =
    Number.isSafeInteger(amount) && (!THREE_DECIMALS.has(currency) || amount % 10 === 0);
  return isPayable ? amount : undefined;
}

/** Minor units by ISO 4217, of an amount that Stripe has. */
export function fromStripeAmount(amount: number, currency: string): number {
  return amount * 10 ** (minorDigits(currency) - stripeDigits(currency));
}

function stripeDigits(currency: string): number {
  if (NO_DECIMALS.has(currency)) return 0;
  if (HUNDREDTHS.has(currency)) return 2;
  return THREE_DECIMALS.has(currency) ? 3 : 2;
}
