import { Type, type Static } from '@sinclair/typebox';
import type { ArchivedOrder } from '../../engine/archive/archive';
import {
  failureReason,
  orderStatus,
  type OrderStatus,
  type TimelineStep,
} from '../../engine/orders/ledger';
import {
  ORDER_REASONS,
  totalMinor,
  type ItemId,
  type RequestId,
  type UserId,
} from '../../engine/orders/order';
import { refundedMinor, RETURN_STATUSES, type SaleReturn } from '../../engine/orders/sale-return';
import { Id } from '../buy/buy-request';
import type { FinishedOrder, LiveOrder } from './order-lookup';
import { OrderPayment } from './order-payment';
import { object, oneOf, orNull, text, time, units } from './route';

/** Typed as records so that a new status or state does not compile until it is documented. */
const STATUSES: Record<OrderStatus, true> = {
  queued: true,
  reserved: true,
  'awaiting-payment': true,
  confirmed: true,
  failed: true,
  cancelled: true,
};
const STATES: Record<TimelineStep['state'], true> = {
  held: true,
  queued: true,
  reserved: true,
  'awaiting-payment': true,
  sold: true,
  released: true,
};
const State = oneOf(Object.keys(STATES) as TimelineStep['state'][], 'its state in the ledger');

export const Links = object({
  self: text('the order'),
  events: text('the order as a stream of events'),
});

/** An order as a list shows it. */
export const OrderSummary = object({
  request_id: Id,
  item_id: Id,
  user_id: Id,
  amount: Type.Integer({ minimum: 1, description: 'units' }),
  total_minor: Type.Integer({ minimum: 1, description: 'for all units, in minor units' }),
  currency: text('ISO 4217'),
  status: oneOf(
    Object.keys(STATUSES) as OrderStatus[],
    'confirmed, failed and cancelled are final, unless an operator retries the order',
  ),
  reason: orNull(
    oneOf(ORDER_REASONS, 'why it was not sold'),
    'payment-deadline: it was not paid in time, and is cancelled; else null unless the order failed',
  ),
  payment_id: orNull(Type.String(), "the payment provider's id of the charge"),
  refunded_minor: Type.Integer({
    minimum: 0,
    description: 'what was given back after the sale, or is about to be, in minor units',
  }),
  generation: units('0 before the first try to sell it, then the number of tries'),
  accepted_at: time('when its units were held'),
  finished_at: orNull(time('when it was sold or released'), 'null until then'),
  links: Links,
});
type OrderSummaryBody = Static<typeof OrderSummary>;

const returned = {
  id: text("the payment provider's"),
  amount_minor: Type.Integer({ minimum: 0, description: 'in minor units' }),
  made_at: time('when it was made'),
};
const Returns = {
  refunds: Type.Array(
    object({
      ...returned,
      operation_id: orNull(text('of the operator'), 'null: made at the payment provider'),
      status: oneOf(RETURN_STATUSES.refund, 'failed: the money was not given back'),
      reason: orNull(text("the payment provider's word"), 'null unless it failed'),
    }),
    { description: 'after the sale, the oldest first' },
  ),
  disputes: Type.Array(
    object({
      ...returned,
      status: oneOf(RETURN_STATUSES.dispute, 'lost: the buyer has the money'),
      reason: orNull(text("the bank's word"), 'null: not known'),
    }),
    { description: "the buyer's objections at the bank" },
  ),
};

/** An order as the outside reads it. */
export const Order = object({
  ...OrderSummary.properties,
  ...Returns,
  timeline: Type.Array(object({ at: time('when'), state: State }), {
    description: 'long after its end only its beginning and its end',
  }),
  payment: Type.Optional(OrderPayment),
});
export type OrderBody = Static<typeof Order>;

/** Ids hold no characters that a path would have to escape. */
export function orderLinks(requestId: RequestId): Static<typeof Links> {
  return { self: `/orders/${requestId}`, events: `/orders/${requestId}/events` };
}

/** The list of a buyer's orders of an item. */
export function orderListLink(itemId: ItemId, userId?: UserId): string {
  const query = new URLSearchParams({
    item_id: itemId,
    ...(userId !== undefined && { user_id: userId }),
  });
  return `/orders?${query.toString()}`;
}

/** What buyers see of an order, wherever it was found. */
export function viewFound(
  requestId: RequestId,
  found: LiveOrder | FinishedOrder,
): OrderBody | undefined {
  return 'archived' in found ? viewArchived(found) : viewOrder({ requestId, ...found });
}

/** What the archive has of an order. Its steps are not archived, only how it ended. */
function viewArchived({ archived, events, returns }: FinishedOrder): OrderBody {
  const { status, acceptedAt, finishedAt } = archived;
  const ends =
    events.length > 0 || finishedAt === undefined ? events : [{ at: finishedAt, status }];
  return {
    ...viewSummary(archived),
    ...viewReturns(returns),
    timeline: [
      { at: iso(acceptedAt), state: 'held' },
      ...ends.map((end) => ({
        at: iso(end.at),
        state: end.status === 'confirmed' ? ('sold' as const) : ('released' as const),
      })),
    ],
  };
}

/** An archived order in a list. */
export function viewSummary(order: ArchivedOrder): OrderSummaryBody {
  const { requestId, reason = null, paymentId = null, finishedAt } = order;
  return {
    request_id: requestId,
    item_id: order.itemId,
    user_id: order.userId,
    amount: order.amount,
    total_minor: totalMinor(order),
    currency: order.currency,
    status: order.status,
    reason,
    payment_id: paymentId,
    refunded_minor: order.refundedMinor,
    generation: order.generation,
    accepted_at: iso(order.acceptedAt),
    finished_at: finishedAt === undefined ? null : iso(finishedAt),
    links: orderLinks(requestId),
  };
}

/** Turns a ledger entry into what buyers see. Undefined while the order is only held: it is not accepted yet. */
export function viewOrder({
  requestId,
  itemId,
  entry,
}: LiveOrder & { readonly requestId: RequestId }): OrderBody | undefined {
  const status = orderStatus(entry);
  if (status === undefined) return undefined;
  return {
    request_id: requestId,
    item_id: itemId,
    user_id: entry.userId,
    amount: entry.units,
    total_minor: totalMinor({ priceMinor: entry.priceMinor, amount: entry.units }),
    currency: entry.currency,
    status,
    reason: failureReason(entry),
    payment_id: entry.paymentId ?? null,
    refunded_minor: refundedMinor(entry.returns),
    ...viewReturns(entry.returns),
    generation: entry.generation,
    accepted_at: iso(entry.acceptedAt),
    finished_at: entry.finishedAt === undefined ? null : iso(entry.finishedAt),
    timeline: entry.timeline.map(({ at, state }) => ({ at: iso(at), state })),
    links: orderLinks(requestId),
  };
}

function viewReturns(returns: readonly SaleReturn[] = []) {
  const view = ({ id, amountMinor, at, reason }: SaleReturn) => ({
    id,
    amount_minor: amountMinor,
    made_at: iso(at),
    reason: reason ?? null,
  });
  const of = (kind: SaleReturn['kind']) => returns.filter((one) => one.kind === kind);
  return {
    refunds: of('refund').map((one) => ({
      ...view(one),
      operation_id: one.operationId ?? null,
      status: one.status as (typeof RETURN_STATUSES.refund)[number],
    })),
    disputes: of('dispute').map((one) => ({
      ...view(one),
      status: one.status as (typeof RETURN_STATUSES.dispute)[number],
    })),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export const SUMMARY_EXAMPLE: OrderSummaryBody = {
  request_id: 'req-1',
  item_id: '101',
  user_id: 'u1',
  amount: 1,
  total_minor: 1000,
  currency: 'USD',
  status: 'confirmed',
  reason: null,
  payment_id: 'ch_1',
  refunded_minor: 0,
  generation: 1,
  accepted_at: '2026-01-05T12:00:00.000Z',
  finished_at: '2026-01-05T12:00:00.250Z',
  links: { self: '/orders/req-1', events: '/orders/req-1/events' },
};

export const ORDER_EXAMPLE: OrderBody = {
  ...SUMMARY_EXAMPLE,
  refunds: [],
  disputes: [],
  timeline: [
    { at: '2026-01-05T12:00:00.000Z', state: 'held' },
    { at: '2026-01-05T12:00:00.004Z', state: 'queued' },
    { at: '2026-01-05T12:00:00.090Z', state: 'reserved' },
    { at: '2026-01-05T12:00:00.250Z', state: 'sold' },
  ],
};
