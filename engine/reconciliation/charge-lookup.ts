import { paymentKey } from '../orders/order-status';
import type { PaymentProvider } from '../payments/payment-provider';
import type { ChargeSeen } from './compare-order';

/** What the provider knows of generations 1 to `generations` of an order. Throws when it gives no answer. */
export type LookUpCharges = (
  requestId: string,
  generations: number,
) => Promise<readonly ChargeSeen[]>;

const BOOK_MS_MAX = 5_000;

/**
 * Asks the provider key by key. The port tells no amounts; where a simulator's book is to be had at `bookUrl`, they
 * come from there.
 */
export async function createChargeLookup(
  provider: Pick<PaymentProvider, 'find'>,
  bookUrl: string,
): Promise<LookUpCharges> {
  const amounts = await readBook(bookUrl);
  return async (requestId, generations) => {
    const charges: ChargeSeen[] = [];
    for (let generation = 1; generation <= generations; generation++) {
      const key = paymentKey(requestId, generation);
      const answer = await provider.find(key);
      const amountMinor = amounts.get(key);
      charges.push({
        generation,
        charged: answer?.kind === 'charged',
        ...(answer?.kind === 'charged' && { paymentId: answer.paymentId }),
        ...(amountMinor !== undefined && { amountMinor }),
      });
    }
    return charges;
  };
}

/** Amounts by key; empty where there is no such book, as with every real provider. */
async function readBook(bookUrl: string): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`${bookUrl}/ledger`, { signal: AbortSignal.timeout(BOOK_MS_MAX) });
  if (response.status !== 200) return new Map();
  const rows = (await response.json()) as readonly { key: string; amount: number }[];
  return new Map(rows.map(({ key, amount }) => [key, amount]));
}
