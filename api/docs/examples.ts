import type { Static } from '@sinclair/typebox';
import type { BuyRequest } from '../buy/buy-request';
import { problem, type ProblemType } from '../http/problems';
import type { ItemBody } from '../items';
import type { OrderBody } from '../orders/order-view';
import type { Accepted, Item, Order } from './schemas';

const LINKS = { self: '/orders/req-1', events: '/orders/req-1/events' };

export const BUY_EXAMPLE: Static<typeof BuyRequest> = {
  user_id: 'u1',
  item_id: '101',
  amount: 1,
  request_id: 'req-1',
};

export const ACCEPTED_EXAMPLE: Static<typeof Accepted> = {
  request_id: 'req-1',
  status: 'queued',
  links: LINKS,
};

/** Of both types, the code's and the document's: neither can gain a field alone. */
export const ORDER_EXAMPLE: OrderBody & Static<typeof Order> = {
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
  links: LINKS,
};

/** An order whose buyer has cancelled it before anybody worked on it. */
export const CANCELLED_EXAMPLE: typeof ORDER_EXAMPLE = {
  ...ORDER_EXAMPLE,
  ...{ status: 'cancelled', payment_id: null, generation: 0 },
  timeline: [
    ...ORDER_EXAMPLE.timeline.slice(0, 2),
    { at: '2026-01-05T12:00:00.250Z', state: 'released' },
  ],
};

/** An order that is being worked on. */
export const RESERVED_EXAMPLE: typeof ORDER_EXAMPLE = {
  ...ORDER_EXAMPLE,
  ...{ status: 'reserved', payment_id: null, finished_at: null },
  timeline: ORDER_EXAMPLE.timeline.slice(0, 3),
};

export const ITEM_EXAMPLE: ItemBody & Static<typeof Item> = {
  ...{ item_id: '101', free: 97, held: 0, queued: 1, reserved: 1, sold: 1, supply: 100 },
  ...{ price_minor: 1000, currency: 'USD', units_per_user: 2 },
  ...{ opens_at: '2026-01-05T12:00:00.000Z', closes_at: null },
};

const MEMBERS: Partial<Record<ProblemType, Readonly<Record<string, unknown>>>> = {
  'invalid-request': { errors: [{ path: '/amount', message: 'is required' }] },
  'unknown-item': { item_id: 'no-such' },
  'duplicate-request': { order: ORDER_EXAMPLE },
  'too-late-to-cancel': { reason: 'confirmed', order: ORDER_EXAMPLE },
  'sold-out': { final: false },
  'purchase-limit': { units_per_user: 2, owned: 2 },
  'sale-not-open': { opens_at: '2026-01-05T12:00:00.000Z' },
  'sale-over': { closed_at: '2026-01-05T13:00:00.000Z' },
  'not-replayable': { outcome: 'cancelled', letter_id: 'req-1:run-1' },
  'units-owned': { users: 3, most: 4 },
};

/** A problem as the gateway writes it. */
export function problemExample(type: ProblemType): unknown {
  return JSON.parse(problem(type, { members: MEMBERS[type] ?? {} }).body);
}
