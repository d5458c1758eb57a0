import { keySinceOf, paymentKey, totalMinor, type Order } from '../orders/order';
import type { Charge, FoundCharge, PaymentProvider } from './payment-provider';

/** What an order is charged under a key, and no other charge: keys of old orders may be used again. */
export type DueCharge = Pick<Charge, 'key' | 'amountMinor' | 'currency'>;

/** What one generation of an order is charged, by the engine or by its buyer. */
export function orderCharge(order: Order, generation: number): Charge {
  const { requestId, itemId, userId, orderId, currency, payment } = order;
  return {
    key: paymentKey(requestId, orderId, generation),
    amountMinor: totalMinor(order),
    currency,
    keySince: keySinceOf(order),
    context: { requestId, itemId, userId },
    payment,
  };
}

/** Under the key of a charge there is another one: the order is not paid by it, and may not give it back. */
export interface ForeignCharge {
  readonly kind: 'foreign';
  readonly error: string;
}

/** Whether a charge that was found under an order's key is another order's. */
export function foreignCharge(
  found: FoundCharge | undefined,
  due: DueCharge,
): ForeignCharge | undefined {
  if (found?.kind !== 'charged') return undefined;
  const { amountMinor, currency, paymentId } = found;
  if (amountMinor === due.amountMinor && currency === due.currency) return undefined;
  const there = `${paymentId}: ${String(amountMinor)} ${currency}`;
  const should = `${String(due.amountMinor)} ${due.currency} (minor units)`;
  return { kind: 'foreign', error: `the key ${due.key} holds ${there}, not ${should}` };
}

/** Refunds the charge that is due under a key, or blocks the key. A foreign charge stays as it is. */
export async function refundOwnCharge(
  provider: Pick<PaymentProvider, 'find' | 'refund'>,
  due: DueCharge,
  keySince?: number,
): Promise<'refunded' | 'nothing' | ForeignCharge> {
  const foreign = foreignCharge(await provider.find(due.key, keySince), due);
  return foreign ?? provider.refund(due.key, keySince);
}
