import { Type, type TSchema } from '@sinclair/typebox';
import { BuyRequest, Id } from '../buy/buy-request';
import { PROBLEMS } from '../http/problems';
import type { DocumentedParameter, DocumentedRoute } from './documented-route';
import { OPERATOR_ROUTES } from './operator-routes';
import {
  ACCEPTED_EXAMPLE,
  BUY_EXAMPLE,
  CANCELLED_EXAMPLE,
  ITEM_EXAMPLE,
  ORDER_EXAMPLE,
  RESERVED_EXAMPLE,
} from './examples';
import {
  Accepted,
  Item,
  Live,
  Order,
  ProblemExplanation,
  ProblemName,
  ReadyReport,
} from './schemas';

const inJson = (schema: TSchema, example: unknown) => ({
  body: { mediaType: 'application/json', schema, example },
});
const inText = (mediaType: string, example: string) => ({
  body: { mediaType, schema: Type.String(), example },
});
const header = (name: string, description: string): DocumentedParameter => ({
  ...{ in: 'header', name, description, schema: Type.String() },
});
const requestId: DocumentedParameter = {
  ...{ in: 'path', name: 'request_id', schema: Id, example: BUY_EXAMPLE.request_id },
  description: 'the request_id of the purchase',
};
const buyer: DocumentedParameter = {
  ...{ in: 'query', name: 'user_id', schema: Id, example: BUY_EXAMPLE.user_id },
  description: 'the buyer of the order',
  isRequired: true,
};
const ifNoneMatch = header('If-None-Match', 'an ETag of an earlier answer');
const CACHED = { ETag: 'names this version', 'Cache-Control': 'how long it may be kept' };
const NOT_MODIFIED = { status: 304, description: 'Nothing has changed.', headers: CACHED };
const RETRY_AFTER = { 'Retry-After': 'seconds' };

const BUY: DocumentedRoute = {
  ...{ method: 'post', path: '/buy', id: 'buy', summary: 'Buy units of an item' },
  description:
    'Send the same request again, with the same request_id, whenever the answer was lost: it never buys twice. Every refusal burns nothing: no unit, no id, no allowance of the user.',
  body: { schema: BuyRequest, example: BUY_EXAMPLE },
  answers: [
    {
      status: 202,
      description: 'Accepted: the order is written down and will reach exactly one outcome.',
      ...inJson(Accepted, ACCEPTED_EXAMPLE),
      headers: { Location: 'the order' },
    },
  ],
  problems: [
    ...(['invalid-request', 'unknown-item', 'request-timeout', 'duplicate-request'] as const),
    ...(['request-in-progress', 'sold-out', 'purchase-limit', 'sale-not-open'] as const),
    ...(['sale-over', 'too-large', 'unsupported-media-type', 'request-id-reused'] as const),
    ...(['rate-limited', 'internal', 'not-accepted', 'outcome-unknown'] as const),
  ],
};

const ORDERS: readonly DocumentedRoute[] = [
  {
    ...{ method: 'get', path: '/orders/{request_id}', id: 'order', summary: 'Read an order' },
    description: 'The order as it stands.',
    parameters: [requestId],
    answers: [{ status: 200, description: 'The order.', ...inJson(Order, ORDER_EXAMPLE) }],
    problems: ['unknown-order', 'internal', 'not-accepted'],
  },
  {
    ...{ method: 'delete', path: '/orders/{request_id}', id: 'cancelOrder' },
    summary: 'Cancel an order',
    description:
      'Possible for its buyer until the payment is taken: the units go back and nothing is charged. Asking again is safe, and an order that was cancelled is never sold.',
    parameters: [requestId, buyer],
    answers: [
      { status: 200, description: 'It is cancelled.', ...inJson(Order, CANCELLED_EXAMPLE) },
      {
        status: 202,
        description: 'It will be, unless its payment has just been taken. Ask again to learn it.',
        ...inJson(Order, RESERVED_EXAMPLE),
        headers: RETRY_AFTER,
      },
    ],
    problems: [
      ...(['invalid-request', 'not-the-buyer', 'unknown-order'] as const),
      ...(['too-late-to-cancel', 'internal', 'outcome-unknown'] as const),
    ],
  },
  {
    ...{ method: 'get', path: '/orders/{request_id}/events', id: 'orderEvents' },
    summary: 'Follow an order',
    description:
      'Server-sent events. The data of each is the whole order; the stream ends with its final outcome, or after two minutes.',
    parameters: [requestId, header('Last-Event-ID', 'the last event that was seen')],
    answers: [
      {
        status: 200,
        description: 'A stream of events.',
        ...inText('text/event-stream', `id: 1.4\ndata: ${JSON.stringify(ORDER_EXAMPLE)}\n\n`),
      },
      { status: 204, description: 'The final outcome has been seen; do not come back.' },
    ],
    problems: ['unknown-order', 'internal', 'not-accepted'],
  },
];

const ITEMS: DocumentedRoute = {
  ...{ method: 'get', path: '/items/{item_id}', id: 'item', summary: 'Read an item' },
  description: 'Stock, price and window of the sale.',
  parameters: [
    {
      ...{ in: 'path', name: 'item_id', schema: Id, example: BUY_EXAMPLE.item_id },
      description: 'the item',
    },
    ifNoneMatch,
  ],
  answers: [
    { status: 200, description: 'The item.', ...inJson(Item, ITEM_EXAMPLE), headers: CACHED },
    NOT_MODIFIED,
  ],
  problems: ['unknown-item', 'internal', 'not-accepted'],
};

const SOLD_OUT = PROBLEMS['sold-out'];
const PROBLEM_PAGES: DocumentedRoute = {
  ...{ method: 'get', path: '/problems/{type}', id: 'problem', summary: 'Explain a problem' },
  description: 'What the type of a problem points to.',
  parameters: [
    {
      ...{ in: 'path', name: 'type', schema: ProblemName, example: 'sold-out' },
      description: 'the last part of the type',
    },
  ],
  answers: [
    {
      status: 200,
      description: 'What it means and what to do now.',
      ...inJson(ProblemExplanation, { type: '/problems/sold-out', ...SOLD_OUT }),
    },
  ],
  problems: ['not-found'],
};

const OPERATION: readonly DocumentedRoute[] = [
  {
    ...{ method: 'get', path: '/livez', id: 'livez', summary: 'Is the process alive?' },
    description: 'Asks no dependency.',
    answers: [{ status: 200, description: 'It is.', ...inJson(Live, { live: true }) }],
    problems: [],
  },
  {
    ...{ method: 'get', path: '/readyz', id: 'readyz', summary: 'Can purchases be taken?' },
    description: 'Asks every dependency.',
    answers: [
      {
        status: 200,
        description: 'They can.',
        ...inJson(ReadyReport, { ready: true, dependencies: { redis: true, kafka: true } }),
      },
      {
        status: 503,
        description: 'A dependency is away, or the gateway is closing.',
        ...inJson(ReadyReport, { ready: false, dependencies: { redis: true, kafka: false } }),
        headers: RETRY_AFTER,
      },
    ],
    problems: [],
  },
  {
    ...{ method: 'get', path: '/metrics', id: 'metrics', summary: 'Count' },
    description: 'The metrics of the gateway and its process.',
    answers: [
      {
        status: 200,
        description: 'In the Prometheus format.',
        ...inText('text/plain', 'flash_sale_buys_total{answer="accepted"} 1\n'),
      },
    ],
    problems: [],
  },
];

const OpenApi = Type.Object({ openapi: Type.String({ pattern: '^3\\.1\\.' }) });
const DOCUMENTS: readonly DocumentedRoute[] = [
  {
    ...{ method: 'get', path: '/openapi.json', id: 'openApi', summary: 'This, for programs' },
    description: 'The OpenAPI document of the gateway.',
    parameters: [ifNoneMatch],
    answers: [
      {
        status: 200,
        description: 'The document.',
        ...inJson(OpenApi, { openapi: '3.1.0' }),
        headers: CACHED,
      },
      NOT_MODIFIED,
    ],
    problems: [],
  },
  {
    ...{ method: 'get', path: '/docs', id: 'docs', summary: 'This, for people' },
    description: 'The OpenAPI document as a page.',
    parameters: [ifNoneMatch],
    answers: [
      {
        status: 200,
        description: 'The page.',
        ...inText('text/html', '<!doctype html>'),
        headers: CACHED,
      },
      NOT_MODIFIED,
    ],
    problems: [],
  },
];

/** Every route of the gateway, in the order in which a newcomer needs them. */
export const ROUTES: readonly DocumentedRoute[] = [
  BUY,
  ...ORDERS,
  ITEMS,
  ...OPERATOR_ROUTES,
  PROBLEM_PAGES,
  ...OPERATION,
  ...DOCUMENTS,
];
