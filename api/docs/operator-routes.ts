import { Type, type TSchema } from '@sinclair/typebox';
import { Id } from '../buy/buy-request';
import type { ProblemType } from '../http/problems';
import {
  DiscardRequest,
  LettersQuery,
  ReplayRequest,
  RestockRequest,
  RetryRequest,
  SaleRequest,
} from '../operator/requests';
import { ITEM_EXAMPLE } from './examples';
import {
  DeadLetters,
  DeadLetterStats,
  Discarded,
  ReplayedOrder,
  ReplayReport,
  Restocked,
  WholeDeadLetters,
} from './operator-schemas';
import type { DocumentedParameter, DocumentedRoute } from './documented-route';
import { Item } from './schemas';

const AT = '2026-01-05T12:00:00.000Z';
const LETTER = {
  ...{ at: AT, request_id: 'req-1', reason: 'payment-declined', generation: 1, item_id: '101' },
  ...{ error: 'card_declined', id: 'req-1:run-1', run_id: 'run-1', partition: 0, offset: '7' },
  ...{ source: { topic: 'orders', partition: 3, offset: '42' }, state: 'open', marks: [] },
};
const REPLAYED = {
  ...{ request_id: 'req-1', letter_id: 'req-1:run-1', outcome: 'started', run_id: 'run-2' },
  detail: 'a new run has been started',
};
const GROUP = { count: 1, first: AT, last: AT };
const WHO = { by: 'ann', why: 'the card was renewed' };

const inPath = (name: string, example: string, description: string, schema: TSchema = Id) =>
  ({ in: 'path', name, schema, example, description }) satisfies DocumentedParameter;
const ITEM = inPath('item_id', '101', 'the item');
const QUERY: readonly DocumentedParameter[] = Object.entries(LettersQuery.properties).map(
  ([name, schema]: [string, TSchema]) => ({
    ...{ in: 'query' as const, name, schema, description: schema.description ?? name },
  }),
);

/** What any of them may answer. */
const ALWAYS = ['unauthorized', 'operator-disabled', 'internal', 'dependency-unavailable'] as const;
const BODY = [
  ...(['invalid-request', 'request-timeout', 'too-large', 'unsupported-media-type'] as const),
];

/** One that answers 200 with `example`. */
function route(
  words: Pick<DocumentedRoute, 'method' | 'path' | 'id' | 'summary' | 'description'>,
  answer: { readonly schema: TSchema; readonly example: unknown; readonly says: string },
  rest: Pick<DocumentedRoute, 'parameters' | 'body'> & {
    readonly problems: readonly ProblemType[];
  },
): DocumentedRoute {
  const { schema, example, says } = answer;
  const body = { mediaType: 'application/json', schema, example };
  return {
    ...words,
    ...rest,
    isForOperators: true,
    answers: [{ status: 200, description: says, body }],
    problems: [...rest.problems, ...ALWAYS],
  };
}

const ITEMS: readonly DocumentedRoute[] = [
  route(
    {
      ...{ method: 'get', path: '/operator/items/{item_id}', id: 'operatorItem' },
      summary: 'Read an item as it is now',
      description: 'As everybody reads it, and what is wrong with it if it cannot be read.',
    },
    { schema: Item, example: ITEM_EXAMPLE, says: 'The item.' },
    { parameters: [ITEM], problems: ['unknown-item', 'unreadable-stock'] },
  ),
  route(
    {
      ...{ method: 'put', path: '/operator/items/{item_id}', id: 'operatorPutSale' },
      summary: 'Say how an item is sold',
      description:
        'Replaces price, limit and window: what is absent is not set afterwards. All of it or nothing. Orders that are under way keep their price.',
    },
    { schema: Item, example: ITEM_EXAMPLE, says: 'The item as it is now.' },
    {
      parameters: [ITEM],
      body: {
        schema: SaleRequest,
        example: { price_minor: 1000, currency: 'USD', units_per_user: 2, by: 'ann' },
      },
      problems: ['unknown-item', 'units-owned', 'unreadable-stock', ...BODY],
    },
  ),
  route(
    {
      ...{ method: 'post', path: '/operator/items/{item_id}/restock', id: 'operatorRestock' },
      summary: 'Put units on sale',
      description:
        'Adds `units`, or sets what is `free`. Sent twice under one operation_id it counts once. An unknown item is on sale from then on.',
    },
    {
      schema: Restocked,
      example: {
        ...{ item_id: '101', operation_id: 'restock-1', free_before: 3, free: 53 },
        ...{ new_item: false, done_before: false },
      },
      says: 'Done, now or before.',
    },
    {
      parameters: [ITEM],
      body: {
        schema: RestockRequest,
        example: { units: 50, operation_id: 'restock-1', by: 'ann' },
      },
      problems: ['unknown-item', 'operation-reused', 'unreadable-stock', ...BODY],
    },
  ),
];

const READING: readonly DocumentedRoute[] = [
  route(
    {
      ...{ method: 'get', path: '/operator/dead-letters', id: 'deadLetters' },
      summary: 'List the failed orders',
      description:
        'The open ones among the newest 10,000 records, oldest first; `all` has the rest.',
    },
    { schema: DeadLetters, example: { total: 1, letters: [LETTER] }, says: 'The letters.' },
    { parameters: QUERY, problems: ['invalid-request', 'rate-limited'] },
  ),
  route(
    {
      ...{ method: 'get', path: '/operator/dead-letters/stats', id: 'deadLetterStats' },
      summary: 'Count the failed orders',
      description: 'By reason and error, and by item, the most frequent first.',
    },
    {
      schema: DeadLetterStats,
      example: {
        total: 1,
        by_failure: [{ reason: 'payment-declined', error: 'card_declined', ...GROUP }],
        by_item: [{ item_id: '101', ...GROUP }],
      },
      says: 'The counts.',
    },
    {
      parameters: QUERY.filter(({ name }) => name !== 'limit'),
      problems: ['invalid-request', 'rate-limited'],
    },
  ),
  route(
    {
      ...{ method: 'get', path: '/operator/dead-letters/{id}', id: 'deadLetter' },
      summary: 'Read the dead letters of an order',
      description: 'With the bytes of the original record.',
    },
    {
      schema: WholeDeadLetters,
      example: { letters: [{ ...LETTER, value: '{}', value_base64: 'e30=' }] },
      says: 'The letters, oldest first.',
    },
    {
      parameters: [inPath('id', 'req-1', 'a request_id or a letter id', Type.String())],
      problems: ['unknown-dead-letter', 'rate-limited'],
    },
  ),
];

const ACTING: readonly DocumentedRoute[] = [
  route(
    {
      ...{ method: 'post', path: '/operator/dead-letters/replay', id: 'replay' },
      summary: 'Try failed orders again',
      description:
        'Those in `ids`, or all that fit the filter, the oldest first, at most `max` (100) in one call: send the same again for what is `left`. An order that runs or was sold since is left alone, and that is said. `mended` is the corrected record of one unreadable letter. `by` and `why` are needed unless `dry_run`.',
    },
    {
      schema: ReplayReport,
      example: { orders: [REPLAYED], left: 0 },
      says: 'What became of each.',
    },
    {
      body: { schema: ReplayRequest, example: { ids: ['req-1'], ...WHO } },
      problems: ['unknown-dead-letter', 'dealt-with', 'rate-limited', ...BODY],
    },
  ),
  route(
    {
      ...{ method: 'post', path: '/operator/dead-letters/discard', id: 'discard' },
      summary: 'Mark dead letters as dealt with',
      description: 'Nothing is deleted. A request_id counts while it has one open letter.',
    },
    {
      schema: Discarded,
      example: {
        letters: [{ letter_id: 'req-1:run-1', request_id: 'req-1', outcome: 'discarded' }],
      },
      says: 'What became of each.',
    },
    {
      body: {
        schema: DiscardRequest,
        example: { ids: ['req-1'], by: 'ann', why: 'paid in the shop' },
      },
      problems: ['unknown-dead-letter', 'several-dead-letters', 'rate-limited', ...BODY],
    },
  ),
  route(
    {
      ...{ method: 'post', path: '/operator/orders/{request_id}/retry', id: 'retry' },
      summary: 'Try one failed order again',
      description: 'The replay of a single order.',
    },
    { schema: ReplayedOrder, example: REPLAYED, says: 'It is started, runs or was sold since.' },
    {
      parameters: [inPath('request_id', 'req-1', 'the order')],
      body: { schema: RetryRequest, example: WHO },
      problems: [
        ...(['unknown-order', 'unknown-dead-letter', 'dealt-with', 'not-replayable'] as const),
        ...(['rate-limited', ...BODY] as const),
      ],
    },
  ),
];

/** The routes that take an operator's token. */
export const OPERATOR_ROUTES: readonly DocumentedRoute[] = [...ITEMS, ...READING, ...ACTING];
