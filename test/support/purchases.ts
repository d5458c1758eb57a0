import { randomUUID } from 'node:crypto';
import type { ItemId, Order, Purchase, RequestId, UserId } from '../../engine/orders/order';
import { fingerprint } from '../../engine/orders/order-record';
import type { Attempt } from '../../engine/stock/admission';

/** An unused item id. The test files share one Redis. */
export function anItem(): ItemId {
  return `item-${randomUUID().slice(0, 8)}` as ItemId;
}

export function aPurchase(
  fields: Partial<Record<'requestId' | 'userId' | 'itemId', string>> & { amount?: number } = {},
): Purchase {
  return {
    requestId: (fields.requestId ?? `req-${randomUUID()}`) as RequestId,
    userId: (fields.userId ?? 'u1') as UserId,
    itemId: (fields.itemId ?? '101') as ItemId,
    amount: fields.amount ?? 1,
  };
}

export function anAttempt(purchase: Purchase, token: string = randomUUID()): Attempt {
  return { ...purchase, fingerprint: fingerprint(purchase), token };
}

/** The order that admission creates from a purchase, at 10.00 USD a unit. */
export function anOrder(purchase: Purchase = aPurchase()): Order {
  return {
    ...purchase,
    priceMinor: 1000,
    currency: 'USD',
    fingerprint: fingerprint(purchase),
    acceptedAt: 1_700_000_000_000,
  };
}
