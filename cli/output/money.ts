/** An amount in minor units as people write it: 1000 and USD are "10.00 USD", 1000 and JPY are "1000 JPY". */
export function money(minor: number, currency: string): string {
  // An operator may have typed anything into a sale; a word that is no currency is shown beside the bare number.
  if (!/^[A-Z]{3}$/.test(currency)) return `${minor} ${currency}`;
  const { maximumFractionDigits: digits = 2 } = new Intl.NumberFormat('en', {
    style: 'currency',
    currency,
  }).resolvedOptions();
  return `${(minor / 10 ** digits).toFixed(digits)} ${currency}`;
}
