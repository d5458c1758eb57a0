import { randomUUID } from 'node:crypto';
import type {
  ItemId,
  Order,
  OrderId,
  Purchase,
  RequestId,
  UserId,
} from '../../engine/orders/order';
import { fingerprint } from '../../engine/orders/order-record';
import type { Attempt, Queued } from '../../engine/stock/admission';

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

/** An attempt, and the order to queue if it is the first one that holds units. */
export function anAttempt(purchase: Purchase, token: string = randomUUID()): Attempt & Queued {
  const { requestId, userId, itemId, amount } = purchase;
  const attempt = { requestId, userId, itemId, amount, fingerprint: fingerprint(purchase), token };
  return { ...attempt, orderId: token as OrderId };
}

/** The order that admission creates from a purchase, at 10.00 USD a unit; from an attempt, under its order id. */
export function anOrder(
  purchase: Purchase & { readonly orderId?: OrderId | undefined } = aPurchase(),
): Order {
  const { requestId, orderId, userId, itemId, amount } = purchase;
  return {
    requestId,
    ...(orderId !== undefined && { orderId }),
    userId,
    itemId,
    amount,
    priceMinor: 1000,
    currency: 'USD',
    fingerprint: fingerprint(purchase),
    acceptedAt: 1_700_000_000_000,
  };
}
