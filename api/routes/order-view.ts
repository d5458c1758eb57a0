import { Type, type Static } from '@sinclair/typebox';
import {
  type LedgerEntry,
  type LedgerState,
  failureReason,
  orderStatus,
  type OrderStatus,
} from '../../engine/orders/ledger';
import { FAILURE_REASONS, type ItemId, type RequestId } from '../../engine/orders/order';
import { Id } from '../buy/buy-request';
import { object, oneOf, orNull, text, time, units } from './route';

/** Typed as records so that a new status or state does not compile until it is documented. */
const STATUSES: Record<OrderStatus, true> = {
  queued: true,
  reserved: true,
  confirmed: true,
  failed: true,
  cancelled: true,
};
const STATES: Record<LedgerState, true> = {
  held: true,
  queued: true,
  reserved: true,
  sold: true,
  released: true,
};
const State = oneOf(Object.keys(STATES) as LedgerState[], 'its state in the ledger');

export const Links = object({
  self: text('the order'),
  events: text('the order as a stream of events'),
});

/** An order as the outside reads it. */
export const Order = object({
  request_id: Id,
  item_id: Id,
  user_id: Id,
  amount: Type.Integer({ minimum: 1, description: 'units' }),
  status: oneOf(
    Object.keys(STATUSES) as OrderStatus[],
    'confirmed, failed and cancelled are final, unless an operator retries the order',
  ),
  reason: orNull(oneOf(FAILURE_REASONS, 'why it failed'), 'null unless the order failed'),
  payment_id: orNull(Type.String(), "the payment provider's id of the charge"),
  generation: units('0 before the first try to sell it, then the number of tries'),
  accepted_at: time('when its units were held'),
  finished_at: orNull(time('when it was sold or released'), 'null until then'),
  timeline: Type.Array(object({ at: time('when'), state: State })),
  links: Links,
});
export type OrderBody = Static<typeof Order>;

/** Ids hold no characters that a path would have to escape. */
export function orderLinks(requestId: RequestId): Static<typeof Links> {
  return { self: `/orders/${requestId}`, events: `/orders/${requestId}/events` };
}

/** Turns a ledger entry into what buyers see. Undefined while the order is only held: it is not accepted yet. */
export function viewOrder({
  requestId,
  itemId,
  entry,
}: {
  readonly requestId: RequestId;
  readonly itemId: ItemId;
  readonly entry: LedgerEntry;
}): OrderBody | undefined {
  const status = orderStatus(entry);
  if (status === undefined) return undefined;
  const reason = failureReason(entry);
  return {
    request_id: requestId,
    item_id: itemId,
    user_id: entry.userId,
    amount: entry.units,
    status,
    reason: reason === 'cancelled' ? null : reason,
    payment_id: entry.paymentId ?? null,
    generation: entry.generation,
    accepted_at: iso(entry.acceptedAt),
    finished_at: entry.finishedAt === undefined ? null : iso(entry.finishedAt),
    timeline: entry.timeline.map(({ at, state }) => ({ at: iso(at), state })),
    links: orderLinks(requestId),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

export const ORDER_EXAMPLE: OrderBody = {
  request_id: 'req-1',
  item_id: '101',
  user_id: 'u1',
  amount: 1,
  status: 'confirmed',
  reason: null,
  payment_id: 'ch_1',
  generation: 1,
  accepted_at: '2026-01-05T12:00:00.000Z',
  finished_at: '2026-01-05T12:00:00.250Z',
  timeline: [
    { at: '2026-01-05T12:00:00.000Z', state: 'held' },
    { at: '2026-01-05T12:00:00.004Z', state: 'queued' },
    { at: '2026-01-05T12:00:00.090Z', state: 'reserved' },
    { at: '2026-01-05T12:00:00.250Z', state: 'sold' },
  ],
  links: { self: '/orders/req-1', events: '/orders/req-1/events' },
};
