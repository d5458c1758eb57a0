import { Type, type Static } from '@sinclair/typebox';
import type { LetterCursor } from '../../../engine/archive/dead-letters';
import { discardLetters } from '../../../engine/dead-letters/discard';
import {
  letterJson,
  wholeLetterJson,
  type LetterFilter,
} from '../../../engine/dead-letters/letters';
import { WHY_LENGTH_MAX } from '../../../engine/dead-letters/operator';
import { OUTCOMES, replay, replayJson } from '../../../engine/dead-letters/replay';
import { parseMendedOrder } from '../../../engine/dead-letters/replay-plan';
import { replayOutcome } from '../../../engine/operators/outcomes';
import { invariant } from '../../../engine/orders/invariant';
import { FAILURE_REASONS } from '../../../engine/orders/order';
import { Id } from '../../buy/buy-request';
import { parseRequestId } from '../../../engine/orders/order';
import { problem } from '../../http/problems';
import { json } from '../../http/response';
import { NO_STORE, object, oneOf, orNull, pathParameter, text, time, units } from '../route';
import {
  By,
  invalid,
  JSON_OBJECT,
  operatorRoute,
  readTime,
  Time,
  visibleText,
  whole,
} from './operator';

/** Orders started in one call: at the slowest rate the call takes twenty seconds, and the next call goes on. */
export const REPLAY_STARTS_MAX = 100;
const RATE_MIN = 5;
const RATE = 10;
const LETTERS_SHOWN_MAX = 200;
const LETTERS_SHOWN = 50;

/** A letter id is a request_id, a colon and a run id, or a position in a topic. */
const LETTER_ID_LENGTH_MAX = 300;

const Reason = oneOf(FAILURE_REASONS, `must be one of ${FAILURE_REASONS.join(', ')}`);
const Why = visibleText(WHY_LENGTH_MAX);
const WHO = { why: 'the card was renewed' };
const LetterIds = Type.Array(
  Type.String({
    minLength: 1,
    maxLength: LETTER_ID_LENGTH_MAX,
    description: 'must be a request_id or a letter id',
  }),
  {
    minItems: 1,
    maxItems: REPLAY_STARTS_MAX,
    description: `must be 1 to ${REPLAY_STARTS_MAX} ids`,
  },
);

const letter = {
  at: orNull(time('when it was written'), 'null: unknown'),
  request_id: orNull(text('of the order'), 'null: unreadable'),
  order_id: orNull(
    text('names this acceptance of the request, for ever'),
    'null: unreadable, or older than order ids',
  ),
  reason: oneOf(FAILURE_REASONS, 'why it failed'),
  generation: units('the try that failed; 0 when nothing was reserved'),
  item_id: orNull(text('the item'), 'null: unreadable'),
  error: text('the error in words'),
  id: text('names this letter; an order has one for each failure'),
  run_id: orNull(text('of its workflow'), 'null: there was none'),
  partition: units('of the dead letter'),
  offset: text('of the dead letter'),
  source: orNull(
    object({ topic: Type.String(), partition: units('its partition'), offset: Type.String() }),
    'the record that the order was read from',
  ),
  state: oneOf(['open', 'replayed', 'sold', 'discarded'], 'what was last done about it'),
  marks: Type.Array(
    object({
      kind: oneOf(['replayed', 'sold', 'discarded'], 'what was done'),
      by: text('the name of the operator'),
      why: text('the reason of the operator'),
      at: orNull(time('when'), 'null: unknown'),
      run_id: orNull(text('the run that was started'), 'null: none'),
    }),
  ),
};
export const DeadLetter = object(letter);

const AT = '2026-01-05T12:00:00.000Z';
const LETTER_EXAMPLE: Static<typeof DeadLetter> = {
  at: AT,
  request_id: 'req-1',
  order_id: 'kJ3x9QpLm2Zt.1f',
  reason: 'payment-declined',
  generation: 1,
  item_id: '101',
  error: 'card_declined',
  id: 'req-1:run-1',
  run_id: 'run-1',
  partition: 0,
  offset: '7',
  source: { topic: 'orders', partition: 3, offset: '42' },
  state: 'open',
  marks: [],
};

const Warnings = Type.Array(Type.String(), {
  description: 'which letters may be missing from the answer; empty: none',
});

const filter = {
  reason: Type.Optional(Reason),
  item_id: Type.Optional(Id),
  since: Type.Optional(Time),
  until: Type.Optional(Time),
};
/** The values of a query are strings. */
const filterQuery = {
  ...filter,
  all: Type.Optional(oneOf(['true', 'false'], 'must be true or false')),
};

const list = operatorRoute({
  method: 'get',
  path: '/operator/dead-letters',
  id: 'deadLetters',
  summary: 'List the failed orders',
  description:
    'The newest open dead letters, oldest first; `next` has the ones before them. `all` includes those that were dealt with. They come from the archive, and what it has not yet from the log. Without the archive they are the newest 10,000 records of the log; `warnings` tell.',
  query: object({
    ...filterQuery,
    limit: Type.Optional(
      Type.String({
        pattern: '^(1\\d?\\d?|[2-9]\\d?|200)$',
        description: `must be a whole number from 1 to ${LETTERS_SHOWN_MAX}; ${LETTERS_SHOWN} when absent`,
      }),
    ),
    cursor: Type.Optional(Type.String({ description: 'must be the cursor of `next`' })),
  }),
  response: {
    description: 'The letters.',
    schema: object({
      total: units('letters that match, on whatever page'),
      letters: Type.Array(DeadLetter),
      next: orNull(text('the next page, with older letters'), 'null: there is none'),
      warnings: Warnings,
    }),
    example: { total: 1, letters: [LETTER_EXAMPLE], next: null, warnings: [] },
  },
  problems: ['rate-limited'],
  handle: async ({ letters }, { query }) => {
    const { limit, all, cursor, ...rest } = query;
    const before = cursor === undefined ? undefined : parseCursor(cursor);
    if (cursor !== undefined && !before) {
      throw invalid({ path: '/cursor', message: 'must be the cursor of `next`' });
    }
    const filter = filterOf({ ...rest, all: all === 'true' });
    const shownMax = Number(limit ?? LETTERS_SHOWN);
    const read = await letters.readLetters();
    const found = await read.newest(filter, shownMax + 1, before);
    const shown = found.slice(-shownMax);
    const oldest = found.length > shownMax ? shown[0] : undefined;
    const page = {
      total: (await read.totals(filter)).letters,
      letters: shown.map(letterJson),
      next: oldest ? nextLink({ ...query, cursor: `${oldest.at}.${oldest.id}` }) : null,
      warnings: read.warnings,
    };
    return json(200, page, NO_STORE);
  },
});

function nextLink(query: Readonly<Record<string, string>>): string {
  return `/operator/dead-letters?${new URLSearchParams(query).toString()}`;
}

function parseCursor(text: string): LetterCursor | undefined {
  const [, at, id] = /^(\d{1,15})\.([^]+)$/.exec(text) ?? [];
  return id === undefined ? undefined : { at: Number(at), id };
}

const count = {
  count: units('number of letters'),
  first: orNull(time('the oldest'), 'null: unknown'),
  last: orNull(time('the newest'), 'null: unknown'),
};
const COUNT_EXAMPLE = { count: 1, first: AT, last: AT };

const stats = operatorRoute({
  method: 'get',
  path: '/operator/dead-letters/stats',
  id: 'deadLetterStats',
  summary: 'Count the failed orders',
  description: 'By reason and error, and by item, the 1,000 most frequent of each first.',
  query: object(filterQuery),
  response: {
    description: 'The counts.',
    schema: object({
      total: units('letters that match'),
      by_failure: Type.Array(object({ reason: Type.String(), error: Type.String(), ...count })),
      by_item: Type.Array(object({ item_id: orNull(Id, 'null: unreadable'), ...count })),
      warnings: Warnings,
    }),
    example: {
      total: 1,
      by_failure: [{ reason: 'payment-declined', error: 'card_declined', ...COUNT_EXAMPLE }],
      by_item: [{ item_id: '101', ...COUNT_EXAMPLE }],
      warnings: [],
    },
  },
  problems: ['rate-limited'],
  handle: async ({ letters }, { query }) => {
    const filter = filterOf({ ...query, all: query.all === 'true' });
    const read = await letters.readLetters();
    const counts = await read.count(filter);
    return json(200, { ...counts, warnings: read.warnings }, NO_STORE);
  },
});

const show = operatorRoute({
  method: 'get',
  path: '/operator/dead-letters/{id}',
  id: 'deadLetter',
  summary: 'Read the dead letters of an order',
  description: 'Includes the bytes of the original record.',
  parameters: [pathParameter('id', 'req-1', 'a request_id or a letter id', Type.String())],
  response: {
    description: 'The letters, oldest first.',
    schema: object({
      letters: Type.Array(
        object({
          ...letter,
          value: orNull(text('the original record'), 'null: not valid UTF-8'),
          value_base64: text('its bytes'),
        }),
      ),
      warnings: Warnings,
    }),
    example: {
      letters: [{ ...LETTER_EXAMPLE, value: '{}', value_base64: 'e30=' }],
      warnings: [],
    },
  },
  problems: ['unknown-dead-letter', 'rate-limited'],
  handle: async ({ letters }, { params: { id = '' } }) => {
    const { of, warnings } = await letters.readLetters();
    const found = [...(await of([id]))].sort((one, other) => one.at - other.at);
    return json(200, { letters: found.map(wholeLetterJson), warnings }, NO_STORE);
  },
});

const ReplayedOrder = object({
  request_id: orNull(text('the order'), 'null: unreadable'),
  letter_id: text('the letter'),
  outcome: text('started, appended, running, sold and so on; `detail` says it in words'),
  run_id: orNull(text('the new run'), 'null: none was started'),
  detail: text('for people'),
});
const REPLAYED_EXAMPLE: Static<typeof ReplayedOrder> = {
  request_id: 'req-1',
  letter_id: 'req-1:run-1',
  outcome: 'started',
  run_id: 'run-2',
  detail: OUTCOMES.started.detail,
};
export const ReplayReport = object({
  orders: Type.Array(ReplayedOrder),
  left: units('orders not looked at because max was reached: send the same request again'),
  warnings: Warnings,
});

/** Selects by `ids`, or by the filter. `mended` needs exactly one id. */
const ReplayRequest = object(
  {
    ids: Type.Optional(LetterIds),
    ...filter,
    all: Type.Optional(Type.Boolean({ description: 'must be true or false' })),
    dry_run: Type.Optional(Type.Boolean({ description: 'must be true or false' })),
    max: Type.Optional(whole(1, REPLAY_STARTS_MAX)),
    rate: Type.Optional(whole(RATE_MIN, 1_000)),
    mended: Type.Optional(
      Type.Object({}, { description: 'must be the corrected record of an order, as an object' }),
    ),
    by: By,
    why: Type.Optional(Why),
  },
  JSON_OBJECT,
);

const replayLetters = operatorRoute({
  method: 'post',
  path: '/operator/dead-letters/replay',
  action: 'dead-letters.replay',
  isOnlyRead: ({ dry_run: dryRun }) => dryRun === true,
  id: 'replay',
  summary: 'Retry failed orders',
  description:
    'Retries the orders in `ids`, or all that match the filter, oldest first, at most `max` (100) per call; to go on with those that are `left`, send the same request again. Orders that are running or sold are skipped and reported. `mended` is the corrected record of one unreadable letter. `why` is required unless `dry_run` is set.',
  body: { schema: ReplayRequest, example: { ids: ['req-1'], ...WHO } },
  response: {
    description: 'The result for each order.',
    schema: ReplayReport,
    example: { orders: [REPLAYED_EXAMPLE], left: 0, warnings: [] },
  },
  problems: ['unknown-dead-letter', 'dealt-with', 'rate-limited'],
  handle: async ({ letters, inTurn }, { body, by }) => {
    const { ids = [], dry_run: dryRun = false, why = '', mended } = body;
    if (!dryRun && why === '') throw invalid({ path: '/why', message: 'is required' });
    if (mended !== undefined && ids.length !== 1) {
      throw invalid({ path: '/mended', message: 'takes exactly one id in ids' });
    }
    const options = {
      ids,
      filter: filterOf(body),
      dryRun,
      operator: { by, why: why.trim() },
      max: body.max ?? REPLAY_STARTS_MAX,
      rate: body.rate ?? RATE,
      mended: mended && mendedOrder(mended),
    };
    const report = await inTurn(() => replay(options, letters));
    return { ...json(200, replayJson(report)), ...replayOutcome(report) };
  },
});

const discard = operatorRoute({
  method: 'post',
  path: '/operator/dead-letters/discard',
  action: 'dead-letters.discard',
  id: 'discard',
  summary: 'Mark dead letters as dealt with',
  description:
    'Nothing is deleted. A request_id stands for a letter if the order has only one open letter.',
  body: {
    schema: object({ ids: LetterIds, by: By, why: Why }, JSON_OBJECT),
    example: { ids: ['req-1'], why: 'paid in the shop' },
  },
  response: {
    description: 'The result for each letter.',
    schema: object({
      letters: Type.Array(
        object({
          letter_id: text('the letter'),
          request_id: orNull(text('its order'), 'null: unreadable'),
          outcome: oneOf(['discarded', 'dealt-with-before'], 'the result'),
        }),
      ),
    }),
    example: { letters: [{ letter_id: 'req-1:run-1', request_id: 'req-1', outcome: 'discarded' }] },
  },
  problems: ['unknown-dead-letter', 'several-dead-letters', 'rate-limited'],
  handle: async ({ letters, inTurn }, { body: { ids, why }, by }) => {
    const operator = { by, why: why.trim() };
    const after = { letters: await inTurn(() => discardLetters(ids, operator, letters)) };
    return { ...json(200, after), after };
  },
});

const retry = operatorRoute({
  method: 'post',
  path: '/operator/orders/{request_id}/retry',
  action: 'dead-letters.replay',
  id: 'retry',
  summary: 'Retry one failed order',
  description: 'The replay of a single order.',
  parameters: [pathParameter('request_id', 'req-1', 'the order')],
  body: { schema: object({ by: By, why: Why }, JSON_OBJECT), example: WHO },
  response: {
    description: 'The order is started, running or sold.',
    schema: ReplayedOrder,
    example: REPLAYED_EXAMPLE,
  },
  problems: [
    'unknown-order',
    'unknown-dead-letter',
    'dealt-with',
    'not-replayable',
    'rate-limited',
  ],
  handle: async ({ letters, inTurn }, { params, body: { why }, by }) => {
    const requestId = parseRequestId(params['request_id']);
    if (requestId === undefined) return problem('unknown-order');
    const operator = { by, why: why.trim() };
    const one = { ids: [requestId], filter: {}, dryRun: false, operator, rate: RATE, max: 1 };
    const report = await inTurn(() => replay(one, letters));
    const [order] = replayJson(report).orders;
    const isDone = report.results.some(({ outcome }) => OUTCOMES[outcome].isDone);
    if (isDone) return { ...json(200, order), ...replayOutcome(report) };
    invariant(order !== undefined, 'the replay of one order reports its outcome');
    const { outcome, detail, letter_id } = order;
    return {
      ...problem('not-replayable', { requestId, detail, members: { outcome, letter_id } }),
      ...replayOutcome(report),
    };
  },
});

/** What operators do with dead letters, by the same logic as the command line. */
// `stats` comes before `show`, whose path matches it, too.
export const DEAD_LETTER_ROUTES = [list, stats, show, replayLetters, discard, retry];

function filterOf({
  reason,
  item_id: item,
  since,
  until,
  all,
}: Pick<
  Static<typeof ReplayRequest>,
  'reason' | 'item_id' | 'since' | 'until' | 'all'
>): LetterFilter {
  return {
    reason,
    item,
    since: readTime(since, '/since'),
    until: readTime(until, '/until'),
    all,
  };
}

/** As bytes, so that it passes the same checks as a record of the log. */
function mendedOrder(record: object) {
  const bytes = Buffer.from(JSON.stringify(record));
  return (letter: Parameters<typeof parseMendedOrder>[1]) =>
    new Promise<ReturnType<typeof parseMendedOrder>>((resolve) => {
      resolve(parseMendedOrder(bytes, letter, 'The mended record'));
    });
}
