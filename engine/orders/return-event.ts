import { Type, type Static } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { AMOUNT_MAX } from './order';
import {
  decodeOrderEvent,
  eventSchema,
  orderInEvent,
  orNull,
  PaymentId,
  SOURCE,
  Time,
  type OrderEvent,
} from './order-event';
import { Id, OrderIdText, readRecord } from './order-record';
import { RETURN_STATUSES, type SaleReturn } from './sale-return';

/** A refund of a sold order, or a dispute about it, came into a state. */
export interface ReturnEvent {
  readonly order: Omit<OrderEvent['order'], 'payment'>;
  readonly paymentId?: string | undefined;
  readonly returned: SaleReturn;
}

export const RETURN_TYPES = {
  refund: 'flash-sale.order.refunded.v1',
  dispute: 'flash-sale.order.disputed.v1',
} as const;

/** Providers' words are shorter; a longer one is cut before it is told. */
export const REASON_LENGTH_MAX = 200;

const order = {
  request_id: Id,
  order_id: OrderIdText,
  item_id: Id,
  user_id: Id,
  amount: Type.Integer({ minimum: 1, maximum: AMOUNT_MAX }),
  price_minor: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER / AMOUNT_MAX }),
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  payment_id: orNull(PaymentId),
  accepted_at: Time,
};
const returned = {
  id: PaymentId,
  amount_minor: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  reason: orNull(Type.String({ maxLength: REASON_LENGTH_MAX })),
  made_at: Time,
};
const statuses = (kind: SaleReturn['kind']) =>
  Type.Union(RETURN_STATUSES[kind].map((status) => Type.Literal(status)));

/** Unknown fields pass: a newer engine may write more of them. */
export const RefundRecord = eventSchema(
  Type.Object({
    ...order,
    refund: Type.Object({ ...returned, operation_id: orNull(Id), status: statuses('refund') }),
  }),
);
export const DisputeRecord = eventSchema(
  Type.Object({
    ...order,
    dispute: Type.Object({ ...returned, status: statuses('dispute') }),
  }),
);
const refundRecord = TypeCompiler.Compile(RefundRecord);
const disputeRecord = TypeCompiler.Compile(DisputeRecord);
type ReturnRecord = Static<typeof RefundRecord> | Static<typeof DisputeRecord>;

/** Readers drop repetitions by it. */
export function returnEventId({ order: { orderId }, returned }: ReturnEvent): string {
  return `${orderId}:${returned.kind}:${returned.id}:${returned.status}`;
}

export function toReturnCloudEvent(event: ReturnEvent): ReturnRecord {
  const { order, paymentId, returned } = event;
  const { kind, id, amountMinor, status, reason } = returned;
  const made_at = new Date(returned.at).toISOString();
  const what = { id, amount_minor: amountMinor, status, reason: reason ?? null, made_at };
  return {
    specversion: '1.0',
    id: returnEventId(event),
    source: SOURCE,
    type: RETURN_TYPES[kind],
    subject: order.requestId,
    time: made_at,
    datacontenttype: 'application/json',
    data: {
      request_id: order.requestId,
      order_id: order.orderId,
      item_id: order.itemId,
      user_id: order.userId,
      amount: order.amount,
      price_minor: order.priceMinor,
      currency: order.currency,
      payment_id: paymentId ?? null,
      accepted_at: new Date(order.acceptedAt).toISOString(),
      ...(kind === 'refund'
        ? { refund: { ...what, operation_id: returned.operationId ?? null } }
        : { dispute: what }),
    },
  } as ReturnRecord;
}

/** The record of an event, a CloudEvent in JSON. The same event is always the same bytes. */
export function encodeReturnEvent(event: ReturnEvent): Buffer {
  return Buffer.from(JSON.stringify(toReturnCloudEvent(event)));
}

/** An event of an order, or of a refund or dispute of it. Never throws, trusts nothing. */
export function decodeAnyEvent(
  value: Buffer | null,
):
  | { readonly kind: 'event'; readonly event: OrderEvent | ReturnEvent }
  | { readonly kind: 'invalid'; readonly problem: string } {
  const returned = decodeReturnEvent(value);
  return returned.kind === 'other' ? decodeOrderEvent(value) : returned;
}

/** `other`: a record of another type, such as the state of an order. Never throws, trusts nothing. */
export function decodeReturnEvent(
  value: Buffer | null,
):
  | { readonly kind: 'event'; readonly event: ReturnEvent }
  | { readonly kind: 'invalid'; readonly problem: string }
  | { readonly kind: 'other' } {
  const read = readRecord(value);
  if ('problem' in read) return { kind: 'other' };
  const { type } = (read.record ?? {}) as { readonly type?: unknown };
  const kind = (['refund', 'dispute'] as const).find((one) => RETURN_TYPES[one] === type);
  if (kind === undefined) return { kind: 'other' };
  const schema = kind === 'refund' ? refundRecord : disputeRecord;
  if (!schema.Check(read.record)) {
    const error = schema.Errors(read.record).First();
    return { kind: 'invalid', problem: error ? `${error.path}: ${error.message}` : 'no event' };
  }
  const { record } = read as { readonly record: ReturnRecord };
  const { data } = record;
  const what = 'refund' in data ? data.refund : { ...data.dispute, operation_id: null };
  const event: ReturnEvent = {
    order: orderInEvent(data),
    paymentId: data.payment_id ?? undefined,
    returned: {
      kind,
      id: what.id,
      amountMinor: what.amount_minor,
      status: what.status,
      at: Date.parse(what.made_at),
      ...(what.operation_id !== null && { operationId: what.operation_id }),
      ...(what.reason !== null && { reason: what.reason }),
    },
  };
  // Its own record is what this engine would write of it: id, subject and times belong together.
  const known = toReturnCloudEvent(event);
  const wrong = (['id', 'subject', 'time'] as const).find((name) => record[name] !== known[name]);
  if (wrong !== undefined) return { kind: 'invalid', problem: `/${wrong}: does not fit the rest` };
  if (known.data.accepted_at !== data.accepted_at) {
    return { kind: 'invalid', problem: '/data/accepted_at: a time that does not exist' };
  }
  return { kind: 'event', event };
}
