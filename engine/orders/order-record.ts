import { hash } from 'node:crypto';
import { Type, type Static } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import {
  AMOUNT_MAX,
  ID_LENGTH_MAX,
  ID_PATTERN,
  type ItemId,
  type Order,
  type OrderId,
  type Purchase,
  type RequestId,
  type UserId,
} from './order';
import { PAY_WITHIN_MS_MAX, PAY_WITHIN_MS_MIN } from './sale';

/** Grows only when a reader of the old shape would misunderstand the new one. */
const RECORD_VERSION = 1;

/** The last millisecond that ISO 8601 writes with four digits for the year. */
const TIME_MAX = Date.parse('9999-12-31T23:59:59.999Z');

/** Sixteen times the longest record of the engine: a larger one is not the engine's. */
const RECORD_BYTES_MAX = 16 * 1024;

export const Id = Type.String({ pattern: ID_PATTERN, maxLength: ID_LENGTH_MAX });

/** A word of the gateway's, half as long as an id may be: a payment key has both, and providers bound its length. */
export const OrderIdText = Type.String({ pattern: '^[A-Za-z0-9_.-]+$', maxLength: 64 });

/** An id at the payment provider, such as pm_1N3T00LkdIwHu7ixt44h1F8k. */
export const PaymentId = Type.String({ pattern: '^[A-Za-z0-9_-]+$', maxLength: 255 });

/** Unknown fields pass: a newer gateway may write more of them. */
const OrderRecord = Type.Object({
  v: Type.Literal(RECORD_VERSION),
  request_id: Id,
  /** Absent in records that are older than order ids. */
  order_id: Type.Optional(OrderIdText),
  user_id: Id,
  item_id: Id,
  amount: Type.Integer({ minimum: 1, maximum: AMOUNT_MAX }),
  price_minor: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER / AMOUNT_MAX }),
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  fingerprint: Type.String(),
  accepted_at: Type.Integer({ minimum: 0, maximum: TIME_MAX }),
  payment: Type.Optional(
    Type.Object({ payment_method: PaymentId, customer: Type.Optional(PaymentId) }),
  ),
  /** Absent where the engine charges by itself. */
  pay_within_ms: Type.Optional(
    Type.Integer({ minimum: PAY_WITHIN_MS_MIN, maximum: PAY_WITHIN_MS_MAX }),
  ),
});
const orderRecord = TypeCompiler.Compile(OrderRecord);
const someId = TypeCompiler.Compile(Id);

export type DecodedOrder =
  | { readonly kind: 'order'; readonly order: Order }
  /** `problem` is for people. The ids are there if they could be read. */
  | {
      readonly kind: 'invalid';
      readonly problem: string;
      readonly requestId?: string;
      readonly itemId?: string;
    };

/** The record of an accepted order. The same order is always the same bytes. */
export function encodeOrder(order: Order): Buffer {
  return Buffer.from(JSON.stringify(toRecord(order)));
}

/** JSON leaves out what is undefined. */
export function toRecord(order: Order): Omit<
  Static<typeof OrderRecord>,
  'order_id' | 'payment' | 'pay_within_ms'
> & {
  readonly order_id: string | undefined;
  readonly pay_within_ms: number | undefined;
} {
  return {
    v: RECORD_VERSION,
    request_id: order.requestId,
    order_id: order.orderId,
    user_id: order.userId,
    item_id: order.itemId,
    amount: order.amount,
    price_minor: order.priceMinor,
    currency: order.currency,
    fingerprint: order.fingerprint,
    accepted_at: order.acceptedAt,
    ...(order.payment && {
      payment: { payment_method: order.payment.method, customer: order.payment.customer },
    }),
    pay_within_ms: order.payWithinMs,
  };
}

/**
 * Reads a record that any client of Kafka may have written: never throws, trusts nothing. The fingerprint is computed
 * again, so that a record cannot pass for another order.
 */
export function decodeOrder(value: Buffer | null): DecodedOrder {
  const read = readRecord(value);
  if ('problem' in read) return { kind: 'invalid', problem: read.problem };
  const { record } = read;
  if (!orderRecord.Check(record)) {
    const error = orderRecord.Errors(record).First();
    return invalid(record, error ? `${error.path || '/'}: ${error.message}` : 'not an order');
  }
  const order = toOrder(record);
  if (fingerprint(order) !== order.fingerprint) {
    return invalid(record, '/fingerprint: does not belong to this user, item and amount');
  }
  return { kind: 'order', order };
}

/** The JSON of a record, or why it is none, for people. */
export function readRecord(
  value: Buffer | null,
): { readonly record: unknown } | { readonly problem: string } {
  if (value === null) return { problem: 'the record has no value' };
  if (value.length > RECORD_BYTES_MAX) {
    return { problem: `${value.length} bytes, more than ${RECORD_BYTES_MAX}` };
  }
  try {
    return { record: JSON.parse(strictUtf8.decode(value)) };
  } catch (error) {
    return { problem: `not JSON: ${String(error)}` };
  }
}

/** 22 characters of base64url are 132 bits: two purchases never share them by chance. */
const FINGERPRINT_LENGTH = 22;

/**
 * Two requests with one request_id are the same request if their fingerprints are equal. It depends on user, item and
 * amount alone; JSON keeps their borders apart, so that ("a", "b1") and ("ab", "1") differ.
 */
export function fingerprint(purchase: Pick<Purchase, 'userId' | 'itemId' | 'amount'>): string {
  const text = JSON.stringify([purchase.userId, purchase.itemId, purchase.amount]);
  return hash('sha256', text, 'base64url').slice(0, FINGERPRINT_LENGTH);
}

/** The record's text, as a field of a workflow's input: only where it differs from the record of this order. */
export function originalText(value: Buffer | null, order: Order): { readonly original?: string } {
  if (value === null || value.equals(encodeOrder(order))) return {};
  return { original: value.toString('utf8') };
}

/** Keeps a byte order mark, which JSON then refuses: without it two different records would be the same text. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function toOrder(record: Static<typeof OrderRecord>): Order {
  return {
    requestId: record.request_id as RequestId,
    orderId: record.order_id as OrderId | undefined,
    userId: record.user_id as UserId,
    itemId: record.item_id as ItemId,
    amount: record.amount,
    priceMinor: record.price_minor,
    currency: record.currency,
    fingerprint: record.fingerprint,
    acceptedAt: record.accepted_at,
    ...(record.payment && {
      payment: { method: record.payment.payment_method, customer: record.payment.customer },
    }),
    ...(record.pay_within_ms !== undefined && { payWithinMs: record.pay_within_ms }),
  };
}

function invalid(record: unknown, problem: string): DecodedOrder {
  const fields = typeof record === 'object' && record !== null ? record : {};
  const requestId = 'request_id' in fields ? fields.request_id : undefined;
  const itemId = 'item_id' in fields ? fields.item_id : undefined;
  return {
    kind: 'invalid',
    problem,
    ...(someId.Check(requestId) && { requestId }),
    ...(someId.Check(itemId) && { itemId }),
  };
}
