/** A string that was checked once, where it came in. The compiler keeps it apart from other kinds of ids. */
type Branded<Name extends string> = string & { readonly __brand: Name };

/** The buyer's idempotency key for one purchase; also the workflow id. */
export type RequestId = Branded<'RequestId'>;
export type ItemId = Branded<'ItemId'>;
export type UserId = Branded<'UserId'>;

/**
 * Names one acceptance of an order, for ever. A buyer may use a request_id again when every retention is over; the order id
 * then tells the two orders apart.
 */
export type OrderId = Branded<'OrderId'>;

/**
 * Ids are parts of Redis keys, of URL paths and of Temporal search attributes. Braces would move a key to another cluster
 * slot and white space breaks command lines, so only these characters are allowed.
 */
export const ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._~:@+=-]*$';

/** 128: room for any UUID or URL-safe hash; short enough for a key, a path and a log line. */
export const ID_LENGTH_MAX = 128;

const ID = new RegExp(ID_PATTERN);

/** Whether it is a valid id of an item, a user or a request. */
export function isId(raw: unknown): boolean {
  return typeof raw === 'string' && raw.length <= ID_LENGTH_MAX && ID.test(raw);
}

/** Undefined for what cannot be an id, so that nothing of it gets into a key, a link or a body. */
export function parseRequestId(raw: unknown): RequestId | undefined {
  return isId(raw) ? (raw as RequestId) : undefined;
}

export function parseItemId(raw: unknown): ItemId | undefined {
  return isId(raw) ? (raw as ItemId) : undefined;
}

export function parseUserId(raw: unknown): UserId | undefined {
  return isId(raw) ? (raw as UserId) : undefined;
}

/** One order takes at most this many units. A larger number is a typing error or an attack. */
export const AMOUNT_MAX = 1_000;

/** What a buyer asks for in one purchase. */
export interface Purchase {
  readonly requestId: RequestId;
  readonly userId: UserId;
  readonly itemId: ItemId;
  /** Units, 1 to AMOUNT_MAX. */
  readonly amount: number;
  /**
   * What the buyer pays with, where the shop has named it. It is no part of what makes two requests the same: of two that
   * differ in it alone, the one counts whose record starts the order.
   */
  readonly payment?: BuyerPayment | undefined;
}

/** A payment method that a buyer has saved at the provider, by its id there, and whose it is. Never the number of a card. */
export interface BuyerPayment {
  readonly method: string;
  readonly customer?: string | undefined;
}

/** A price for one unit: minor units of the currency (cents), and its ISO 4217 code. */
export interface Price {
  readonly priceMinor: number;
  readonly currency: string;
}

/** An admitted purchase. Its price is set at admission and never changes. */
export interface Order extends Purchase, Price {
  /** Absent in orders that are older than order ids. */
  readonly orderId?: OrderId | undefined;
  /** Hash of user, item and amount: "is this the same request?" */
  readonly fingerprint: string;
  /** When the units were held, in milliseconds since the epoch. */
  readonly acceptedAt: number;
  /** How long the buyer has to pay, as the sale had it at the hold. Absent: the engine charges by itself. */
  readonly payWithinMs?: number | undefined;
}

/** What the buyer pays for the whole order, in minor units. */
export function totalMinor(order: Pick<Order, 'priceMinor' | 'amount'>): number {
  return order.priceMinor * order.amount;
}

/**
 * The key under which a provider knows a charge. A new generation is a new try; a reset run is not. Without an order id it is
 * the key of orders that are older than order ids, which keep it to their end.
 */
export function paymentKey(
  requestId: string,
  orderId: OrderId | undefined,
  generation: number,
): string {
  const order = orderId === undefined ? requestId : `${requestId}:${orderId}`;
  return `${order}:${String(generation)}`;
}

/** No payment key of the order is older, in ms since the epoch. Without an order id it may have been an earlier order's. */
export function keySinceOf({ orderId, acceptedAt }: Pick<Order, 'orderId' | 'acceptedAt'>): number {
  return orderId === undefined ? 0 : acceptedAt;
}

/** Why an accepted order failed. The order, its dead letter and the workflow's failure have the same word. */
export const FAILURE_REASONS = [
  'payment-declined',
  'payment-unknown',
  'sold-out',
  'purchase-limit',
  'sale-lost',
  'late-payment',
  'request-id-reused',
  'invalid-record',
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];

/** Why an order was not sold, where its buyer has not cancelled it. An order that was not paid in time has not failed. */
export const ORDER_REASONS = [...FAILURE_REASONS, 'payment-deadline'] as const;
export type OrderReason = (typeof ORDER_REASONS)[number];

/** Why an order's units were given back. */
export type ReleaseReason = OrderReason | 'cancelled';
