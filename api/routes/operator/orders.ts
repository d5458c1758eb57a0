import { Type } from '@sinclair/typebox';
import { parseRequestId } from '../../../engine/orders/order';
import { problem } from '../../http/problems';
import { json } from '../../http/response';
import { Order, ORDER_EXAMPLE } from '../order-view';
import { REQUEST_ID } from '../orders';
import { NO_STORE, object, text } from '../route';
import { operatorRoute } from './operator';

/** An order as operators read it. */
export const OperatorOrder = object({
  ...Order.properties,
  links: object({
    self: text('the order'),
    trace: Type.Optional(text('its workflow in the Temporal Web UI, if one is configured')),
  }),
});

const readOrder = operatorRoute({
  method: 'get',
  path: '/operator/orders/{request_id}',
  id: 'operatorOrder',
  summary: 'Read any order',
  description: 'The same as its buyer reads, and where the Temporal Web UI shows its workflow.',
  parameters: [REQUEST_ID],
  response: {
    description: 'The order.',
    schema: OperatorOrder,
    example: {
      ...ORDER_EXAMPLE,
      links: {
        self: '/operator/orders/req-1',
        trace: 'https://temporal.example/namespaces/default/workflows/req-1',
      },
    },
  },
  problems: ['unknown-order'],
  handle: async ({ findOrder, trace }, { params }) => {
    const requestId = parseRequestId(params['request_id']);
    const order = requestId && (await findOrder(requestId));
    if (!order) return problem('unknown-order', { requestId });
    const links = {
      self: `/operator/orders/${order.request_id}`,
      ...(trace && {
        trace: `${trace.uiUrl}/namespaces/${trace.namespace}/workflows/${order.request_id}`,
      }),
    };
    return json(200, { ...order, links }, NO_STORE);
  },
});

/** Operators follow orders, whoever's they are. */
export const ORDER_ROUTES = [readOrder];
