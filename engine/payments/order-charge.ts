import { keySinceOf, paymentKey, totalMinor, type Order } from '../orders/order';
import type { Charge } from './payment-provider';

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
