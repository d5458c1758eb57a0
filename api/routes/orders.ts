import { Type } from '@sinclair/typebox';
import type { RequestId } from '../../engine/orders/order';
import type { Buy } from '../buy/buy';
import { BuyRequest, BuyRequestWithToken, Id } from '../buy/buy-request';
import type { Buyer } from '../buyers/buyer-auth';
import type { Metrics } from '../metrics';
import { parseRequestId } from '../../engine/orders/order';
import { problem } from '../http/problems';
import { json } from '../http/response';
import type { CancelOrder } from './cancel-order';
import type { OrderLookup } from './order-lookup';
import type { ReadPayment } from './order-payment';
import { Links, Order, ORDER_EXAMPLE, viewFound, type OrderBody } from './order-view';
import { jsonResponse, NO_STORE, object, pathParameter, type Route } from './route';

export const Accepted = object({
  request_id: Id,
  status: Type.Literal('queued'),
  links: Links,
});

export const REQUEST_ID = pathParameter('request_id', 'req-1', 'the request_id of the purchase');

export function buyRoute(
  buy: Buy,
  metrics: Metrics,
  { hasTokens }: { readonly hasTokens: boolean },
): Route {
  return {
    method: 'post',
    path: '/buy',
    id: 'buy',
    summary: 'Buy units of an item',
    description:
      'If the response is lost, send the same request again with the same request_id: it never buys twice. A rejected request uses up no unit, no request_id and nothing of the purchase limit. user_id, item_id and request_id are opaque: use no names and no addresses. An item with `pay: checkout` takes no `payment`.',
    body: hasTokens
      ? {
          schema: BuyRequestWithToken,
          example: {
            item_id: '101',
            amount: 1,
            request_id: '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21',
          },
        }
      : {
          schema: BuyRequest,
          example: { user_id: 'u1', item_id: '101', amount: 1, request_id: 'req-1' },
        },
    responses: [
      jsonResponse(
        202,
        'Accepted. The order is recorded and reaches exactly one outcome.',
        {
          schema: Accepted,
          example: { request_id: 'req-1', status: 'queued', links: ORDER_EXAMPLE.links },
        },
        { Location: 'the order' },
      ),
    ],
    problems: [
      'invalid-request',
      'unknown-item',
      'request-timeout',
      'duplicate-request',
      'request-in-progress',
      'sold-out',
      'purchase-limit',
      'sale-not-open',
      'sale-over',
      'too-large',
      'unsupported-media-type',
      'request-id-reused',
      ...(hasTokens ? (['other-user', 'request-id-not-a-uuid'] as const) : []),
      'rate-limited',
      'internal',
      'not-accepted',
      'selling-stopped',
      'outcome-unknown',
    ],
    handle: async ({ req, buyer }) => {
      const startedAt = performance.now();
      const response = await buy.respond(req, buyer);
      if (response) metrics.countBuy(response, (performance.now() - startedAt) / 1_000);
      return response;
    },
  };
}

/**
 * Returns an order as it is now; undefined if none was accepted under this id, or only another buyer's than `buyer`. Throws
 * RequestError.
 */
export type FindOrder = (requestId: RequestId, buyer?: Buyer) => Promise<OrderBody | undefined>;

/** `readPayment`: the order has what its owner's page needs to pay it. */
export function createFindOrder(lookUp: OrderLookup, readPayment?: ReadPayment): FindOrder {
  return async (requestId, buyer) => {
    const found = await lookUp(requestId);
    const order = found && viewFound(requestId, found);
    if (!order || (buyer && order.user_id !== buyer.userId)) return undefined;
    const payment = await readPayment?.(requestId, found);
    return payment ? { ...order, payment } : order;
  };
}

export function readOrderRoute(findOrder: FindOrder): Route {
  return {
    method: 'get',
    path: '/orders/{request_id}',
    id: 'order',
    summary: 'Read an order',
    description:
      'The order as it is now. With an archive it is found for ever; of a request_id that was used again, the newest. While it is awaiting-payment it has what its page needs to pay: for its owner alone.',
    parameters: [REQUEST_ID],
    responses: [jsonResponse(200, 'The order.', { schema: Order, example: ORDER_EXAMPLE })],
    problems: ['unknown-order', 'internal', 'not-accepted'],
    handle: async ({ params, buyer }) => {
      const requestId = parseRequestId(params['request_id']);
      if (requestId === undefined) return problem('unknown-order');
      const order = await findOrder(requestId, buyer);
      return order ? json(200, order, NO_STORE) : problem('unknown-order', { requestId });
    },
  };
}

export function cancelOrderRoute(
  cancelOrder: CancelOrder,
  { hasTokens }: { readonly hasTokens: boolean },
): Route {
  return {
    method: 'delete',
    path: '/orders/{request_id}',
    id: 'cancelOrder',
    summary: 'Cancel an order',
    description:
      'The buyer can cancel until the payment is taken: the units go back on sale and nothing is charged. Cancelling again is safe, and a cancelled order is never sold.',
    parameters: [
      REQUEST_ID,
      {
        in: 'query',
        name: 'user_id',
        description: 'the buyer of the order',
        schema: Id,
        isRequired: !hasTokens,
        example: 'u1',
      },
    ],
    responses: [
      jsonResponse(200, 'The order is cancelled.', { schema: Order, example: CANCELLED_EXAMPLE }),
      jsonResponse(
        202,
        'The order will be cancelled unless its payment has just been taken. Send the request again to find out.',
        { schema: Order, example: RESERVED_EXAMPLE },
        { 'Retry-After': 'seconds' },
      ),
    ],
    problems: [
      'invalid-request',
      hasTokens ? 'other-user' : 'not-the-buyer',
      'unknown-order',
      'too-late-to-cancel',
      'internal',
      'outcome-unknown',
    ],
    handle: cancelOrder,
  };
}

/** Cancelled before its workflow started. */
const CANCELLED_EXAMPLE: OrderBody = {
  ...ORDER_EXAMPLE,
  status: 'cancelled',
  payment_id: null,
  generation: 0,
  timeline: [
    ...ORDER_EXAMPLE.timeline.slice(0, 2),
    { at: '2026-01-05T12:00:00.250Z', state: 'released' },
  ],
};

const RESERVED_EXAMPLE: OrderBody = {
  ...ORDER_EXAMPLE,
  status: 'reserved',
  payment_id: null,
  finished_at: null,
  timeline: ORDER_EXAMPLE.timeline.slice(0, 3),
};
