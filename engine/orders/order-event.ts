import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import {
  failureReason,
  isCancelled,
  orderStatus,
  type LedgerEntry,
  type OrderStatus,
} from './ledger';
import {
  AMOUNT_MAX,
  ORDER_REASONS,
  type OrderReason,
  type ItemId,
  type Order,
  type OrderId,
  type RequestId,
  type UserId,
} from './order';
import { Id, OrderIdText, readRecord } from './order-record';

/** The states of an order that matter outside. */
export const EVENT_STATUSES = ['confirmed', 'failed', 'cancelled'] as const;
export type EventStatus = (typeof EVENT_STATUSES)[number];

/** An order came into a state. */
export interface OrderEvent {
  /** Events are about orders with an id: a request_id may be used again. */
  readonly order: Omit<Order, 'orderId' | 'fingerprint'> & { readonly orderId: OrderId };
  /** The ledger's number of the change: larger for each later one of the order. */
  readonly revision: number;
  /** Milliseconds since the epoch, on the Redis server's clock. */
  readonly at: number;
  readonly status: EventStatus;
  /** Of a failed order, and of a cancelled one that was not paid in time. */
  readonly reason?: OrderReason | undefined;
  /** Only of a confirmed order. */
  readonly paymentId?: string | undefined;
  /** 0 when nothing was reserved. */
  readonly generation: number;
}

/** Changes only when a reader of the old shape would misunderstand the new one. */
const TYPES: Record<EventStatus, string> = {
  confirmed: 'flash-sale.order.confirmed.v1',
  failed: 'flash-sale.order.failed.v1',
  cancelled: 'flash-sale.order.cancelled.v1',
};

/** A relative reference: every installation has a log of its own. */
export const SOURCE = '/flash-sale-engine';

/** Of the header with which Kafka's binding of CloudEvents marks a record that holds the whole event. */
export const EVENT_CONTENT_TYPE = 'application/cloudevents+json; charset=UTF-8';

export const Time = Type.String({
  pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$',
});
/** Providers' ids are shorter. */
export const PaymentId = Type.String({ pattern: '^[\\x21-\\x7e]{1,255}$' });
export const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const Data = Type.Object({
  request_id: Id,
  order_id: OrderIdText,
  revision: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
  item_id: Id,
  user_id: Id,
  amount: Type.Integer({ minimum: 1, maximum: AMOUNT_MAX }),
  price_minor: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER / AMOUNT_MAX }),
  currency: Type.String({ pattern: '^[A-Z]{3}$' }),
  status: Type.Union(EVENT_STATUSES.map((status) => Type.Literal(status))),
  reason: orNull(Type.Union(ORDER_REASONS.map((reason) => Type.Literal(reason)))),
  payment_id: orNull(PaymentId),
  generation: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  accepted_at: Time,
  finished_at: Time,
});

/** A CloudEvent with such data. */
export const eventSchema = <T extends TSchema>(data: T) =>
  Type.Object({
    specversion: Type.Literal('1.0'),
    id: Type.String(),
    source: Type.String(),
    type: Type.String(),
    subject: Id,
    time: Time,
    datacontenttype: Type.Literal('application/json'),
    data,
  });

/** Unknown fields pass: a newer engine may write more of them. */
export const EventRecord = eventSchema(Data);
const eventRecord = TypeCompiler.Compile(EventRecord);

/**
 * The event of an order as its entry stands; undefined while the order is under way, and where it is older than order ids or
 * revisions: its events could not be told apart.
 */
export function outcomeEvent({
  itemId,
  requestId,
  entry,
}: {
  readonly itemId: ItemId;
  readonly requestId: RequestId;
  readonly entry: LedgerEntry;
}): OrderEvent | undefined {
  const { orderId, revision, finishedAt, generation, priceMinor, currency, acceptedAt } = entry;
  const status = orderStatus(entry);
  if (orderId === undefined || revision === undefined || finishedAt === undefined) return undefined;
  if (!isEventStatus(status)) return undefined;
  const reason = failureReason(entry);
  return {
    order: {
      requestId,
      orderId,
      itemId,
      userId: entry.userId as UserId,
      amount: entry.units,
      priceMinor,
      currency,
      acceptedAt,
    },
    // A process of a version before revisions may have changed the entry without a new one.
    revision: Math.max(revision, finishedAt),
    at: finishedAt,
    status,
    generation,
    ...(reason && { reason }),
    ...(status === 'confirmed' && { paymentId: entry.paymentId }),
  };
}

function isEventStatus(status: OrderStatus | undefined): status is EventStatus {
  return EVENT_STATUSES.some((one) => one === status);
}

/** Readers drop repetitions by it. */
export function eventId({ order, revision }: Pick<OrderEvent, 'order' | 'revision'>): string {
  return `${order.orderId}:${String(revision)}`;
}

/** The record of an event, a CloudEvent in JSON. The same event is always the same bytes. */
export function encodeOrderEvent(event: OrderEvent): Buffer {
  return Buffer.from(JSON.stringify(toCloudEvent(event)));
}

export function toCloudEvent(event: OrderEvent): Static<typeof EventRecord> {
  const { order, status } = event;
  const at = new Date(event.at).toISOString();
  return {
    specversion: '1.0',
    id: eventId(event),
    source: SOURCE,
    type: TYPES[status],
    subject: order.requestId,
    time: at,
    datacontenttype: 'application/json',
    data: {
      request_id: order.requestId,
      order_id: order.orderId,
      revision: event.revision,
      item_id: order.itemId,
      user_id: order.userId,
      amount: order.amount,
      price_minor: order.priceMinor,
      currency: order.currency,
      status,
      reason: event.reason ?? null,
      payment_id: event.paymentId ?? null,
      generation: event.generation,
      accepted_at: new Date(order.acceptedAt).toISOString(),
      finished_at: at,
    },
  };
}

export type DecodedEvent =
  | { readonly kind: 'event'; readonly event: OrderEvent }
  /** `problem` is for people. */
  | { readonly kind: 'invalid'; readonly problem: string };

/** Reads a record that any client of Kafka may have written: never throws, trusts nothing. */
export function decodeOrderEvent(value: Buffer | null): DecodedEvent {
  const read = readRecord(value);
  if ('problem' in read) return { kind: 'invalid', problem: read.problem };
  const { record } = read;
  if (!eventRecord.Check(record)) {
    const error = eventRecord.Errors(record).First();
    const problem = error ? `${error.path || '/'}: ${error.message}` : 'not an order event';
    return { kind: 'invalid', problem };
  }
  const { data } = record;
  const event: OrderEvent = {
    order: orderInEvent(data),
    revision: data.revision,
    at: Date.parse(data.finished_at),
    status: data.status,
    reason: data.reason ?? undefined,
    paymentId: data.payment_id ?? undefined,
    generation: data.generation,
  };
  const wrong = findWrong(record, event);
  if (wrong !== undefined) return { kind: 'invalid', problem: wrong };
  return { kind: 'event', event };
}

/** The order that the data of an event tell of, once their shape was checked. */
export function orderInEvent(
  data: Pick<
    Static<typeof Data>,
    | 'request_id'
    | 'order_id'
    | 'user_id'
    | 'item_id'
    | 'amount'
    | 'price_minor'
    | 'currency'
    | 'accepted_at'
  >,
): OrderEvent['order'] {
  return {
    requestId: data.request_id as RequestId,
    orderId: data.order_id as OrderId,
    userId: data.user_id as UserId,
    itemId: data.item_id as ItemId,
    amount: data.amount,
    priceMinor: data.price_minor,
    currency: data.currency,
    acceptedAt: Date.parse(data.accepted_at),
  };
}

/** What does not fit together in a record of the right shape; undefined: nothing. */
function findWrong(
  { id, type, subject, time, data }: Static<typeof EventRecord>,
  event: OrderEvent,
): string | undefined {
  if (!isTime(data.accepted_at)) return '/data/accepted_at: a time that does not exist';
  if (!isTime(data.finished_at)) return '/data/finished_at: a time that does not exist';
  if (id !== eventId(event)) return '/id: does not belong to this order and revision';
  if (type !== TYPES[data.status]) return '/type: does not belong to this status';
  if (subject !== data.request_id) return '/subject: is not the request_id';
  if (time !== data.finished_at) return '/time: is not the end of the order';
  if (!fits(data.status, data.reason)) {
    return '/data/reason: does not belong to this status';
  }
  if (data.payment_id !== null && data.status !== 'confirmed') {
    return '/data/payment_id: does not belong to this status';
  }
  return undefined;
}

function fits(status: EventStatus, reason: OrderReason | null): boolean {
  if (reason === null) return status !== 'failed';
  return status === (isCancelled(reason) ? 'cancelled' : 'failed');
}

function isTime(text: string): boolean {
  const ms = Date.parse(text);
  return ms >= 0 && new Date(ms).toISOString() === text;
}
