import { Type, type Static } from '@sinclair/typebox';
import {
  cursorText,
  parseCursor,
  type Archive,
  type OrderCursor,
} from '../../engine/archive/archive';
import type { LogEnd } from '../../engine/kafka/read-log';
import { parseItemId, parseUserId, type ItemId, type UserId } from '../../engine/orders/order';
import { within } from '../../platform/until';
import { Id } from '../buy/buy-request';
import { readFromArchive, RequestError, type ErrorLog } from '../http/errors';
import { createBudget, createInFlight, createLimit } from '../http/limits';
import { problem } from '../http/problems';
import { json, type HttpResponse } from '../http/response';
import { OrderSummary, SUMMARY_EXAMPLE, viewSummary } from './order-view';
import { jsonResponse, NO_STORE, object, orNull, text, time, type Route } from './route';

const PAGE_MAX = 100;
const PAGE = 20;

/** Of all buyers, at once and in a second: a list takes PostgreSQL a millisecond or two. */
const LISTS_MAX = 8;
const LISTS_PER_SECOND = 100;

/** Of one buyer. A page that waits for an order asks once a second. */
const LISTS_PER_BUYER_AND_SECOND = 5;

export const OrderList = object({
  orders: Type.Array(OrderSummary, { description: 'newest first; each as the archive has it' }),
  archived_until: orNull(
    time('every order that was accepted before is in the list or on a later page'),
    'null: the archive is behind, or it is not known whether it is',
  ),
  next: orNull(text('the next page'), 'null: there is none'),
});

const LIST_EXAMPLE: Static<typeof OrderList> = {
  orders: [SUMMARY_EXAMPLE],
  archived_until: '2026-01-05T12:00:01.000Z',
  next: null,
};

export interface OrderListArchive {
  readonly orders: Pick<Archive, 'ordersOfUser' | 'positions'>;
  readonly ordersTopic: string;
  /** Asks Kafka. */
  readonly logEnds: (msMax: number) => Promise<readonly LogEnd[]>;
}

/** GET /orders: what a buyer has ordered. Without `archive` the route says that there is none. */
export function orderListRoute(
  archive: OrderListArchive | undefined,
  { hasTokens, errors }: { readonly hasTokens: boolean; readonly errors: ErrorLog },
): Route {
  const list = archive && createOrderList(archive, errors);
  return {
    method: 'get',
    path: '/orders',
    id: 'orders',
    summary: 'List orders',
    description: `The orders of ${hasTokens ? 'the buyer' : 'a user'}, newest first. They come from the archive, which is a second or two behind: \`archived_until\` says up to when it is complete, and \`links.self\` of each order shows how it is now. Needs a gateway with an archive.`,
    parameters: [
      ...(hasTokens
        ? []
        : [
            {
              in: 'query',
              name: 'user_id',
              description: 'the buyer',
              schema: Id,
              isRequired: true,
              example: 'u1',
            } as const,
          ]),
      { in: 'query', name: 'item_id', description: 'only orders of this item', schema: Id },
      {
        in: 'query',
        name: 'limit',
        description: `orders of a page, up to ${PAGE_MAX}; ${PAGE} when absent`,
        schema: Type.Integer({ minimum: 1, maximum: PAGE_MAX }),
      },
      {
        in: 'query',
        name: 'before',
        description: 'where the page before ended, as its `next` says',
        schema: Type.String(),
      },
    ],
    responses: [jsonResponse(200, 'The orders.', { schema: OrderList, example: LIST_EXAMPLE })],
    problems: [
      'invalid-request',
      ...(hasTokens ? (['other-user'] as const) : []),
      'no-archive',
      'rate-limited',
      'internal',
      'not-accepted',
    ],
    handle: async ({ querystring, buyer }) => {
      if (!list) return problem('no-archive');
      const query = readQuery(querystring, buyer?.userId);
      if (!('userId' in query)) return problem('invalid-request', { members: query });
      if (buyer && query.userId !== buyer.userId) return problem('other-user');
      return list(query);
    },
  };
}

function createOrderList({ orders, ordersTopic, logEnds }: OrderListArchive, errors: ErrorLog) {
  const running = createInFlight(LISTS_MAX);
  const hasRoom = createBudget(LISTS_PER_SECOND);
  const ofBuyer = createLimit(LISTS_PER_BUYER_AND_SECOND, 1);
  const completeness = createCompleteness(logEnds, errors);

  return async ({ userId, itemId, limit, cursor }: Query): Promise<HttpResponse> => {
    const retryAfterMs = await ofBuyer(userId);
    if (retryAfterMs !== undefined) return problem('rate-limited', { retryAfterMs });
    if (!hasRoom() || !running.enter()) {
      throw new RequestError('The archive is asked for too many lists', {
        problem: 'not-accepted',
      });
    }
    try {
      await completeness.look();
      // In this order: the list has whatever is before the positions.
      const positions = await readFromArchive(orders.positions(ordersTopic));
      const page = { itemId, limit: limit + 1, cursor };
      const found = await readFromArchive(orders.ordersOfUser(userId, page));
      const shown = found.slice(0, limit);
      const last = found.length > limit ? shown.at(-1) : undefined;
      const until = completeness.until(positions);
      const body: Static<typeof OrderList> = {
        orders: shown.map(viewSummary),
        archived_until: until === undefined ? null : new Date(until).toISOString(),
        next: last === undefined ? null : nextLink({ userId, itemId, limit }, last),
      };
      return json(200, body, NO_STORE);
    } finally {
      running.leave();
    }
  };
}

function nextLink({ userId, itemId, limit }: Omit<Query, 'cursor'>, last: OrderCursor): string {
  const query = new URLSearchParams({
    user_id: userId,
    ...(itemId !== undefined && { item_id: itemId }),
    limit: String(limit),
    before: cursorText(last),
  });
  return `/orders?${query.toString()}`;
}

/** Ends of the log that are remembered, one a second: of an archive that is further behind nothing is said. */
const LOOKS_MAX = 30;
const LOOK_EVERY_MS = 1_000;
const LOOK_MS_MAX = 1_500;

/**
 * Up to when the archive is complete. The record of an order is in the log before its buyer is told of it: whoever was told
 * by the time of a look finds the order before the ends that the look saw.
 */
export function createCompleteness(
  logEnds: OrderListArchive['logEnds'],
  errors: ErrorLog,
  now: () => number = Date.now,
) {
  const looks: { readonly at: number; readonly ends: readonly LogEnd[] }[] = [];
  let lookedAt = -Infinity;
  let looking: Promise<void> | undefined;

  const look = async () => {
    lookedAt = now();
    const at = lookedAt;
    try {
      looks.push({
        at,
        ends: await within(logEnds(LOOK_MS_MAX), LOOK_MS_MAX, 'reading the end of the log'),
      });
      if (looks.length > LOOKS_MAX) looks.shift();
    } catch (error) {
      errors.report('it is not known whether the archive is complete', error);
    }
  };

  return {
    /** To be called before the positions are read. Never rejects. */
    look: (): Promise<void> => {
      if (!looking && now() - lookedAt < LOOK_EVERY_MS) return Promise.resolve();
      looking ??= look().finally(() => {
        looking = undefined;
      });
      return looking;
    },
    /** Undefined: not known. */
    until: (positions: ReadonlyMap<number, bigint>): number | undefined =>
      looks.findLast(({ ends }) =>
        // What an empty partition has lost is not in the archive, and will not be.
        ends.every(
          ({ partition, low, high }) => low === high || (positions.get(partition) ?? 0n) >= high,
        ),
      )?.at,
  };
}

interface Query {
  readonly userId: UserId;
  readonly itemId: ItemId | undefined;
  readonly limit: number;
  readonly cursor: OrderCursor | undefined;
}

/** What the query asks for, or what is wrong with it. Unknown parameters are rejected, not ignored. */
function readQuery(
  querystring: string,
  ownId: UserId | undefined,
): Query | { readonly errors: readonly { path: string; message: string }[] } {
  const errors: { path: string; message: string }[] = [];
  const given = new URLSearchParams(querystring);
  const read = <T>(name: string, parse: (text: string) => T | undefined, message: string) => {
    const [value, ...others] = given.getAll(name);
    given.delete(name);
    const parsed = value === undefined ? undefined : parse(value);
    const isWrong = others.length > 0 || (value !== undefined && parsed === undefined);
    if (isWrong) errors.push({ path: `/${name}`, message });
    return parsed;
  };
  const userId = read('user_id', parseUserId, 'must be an id') ?? ownId;
  const itemId = read('item_id', parseItemId, 'must be an id');
  const limit = read('limit', parseLimit, `must be a whole number from 1 to ${PAGE_MAX}`) ?? PAGE;
  const cursor = read('before', parseCursor, 'must be what a page before has in `next`');
  for (const name of given.keys()) errors.push({ path: `/${name}`, message: 'is not known' });
  if (userId === undefined && !errors.some(({ path }) => path === '/user_id')) {
    errors.push({ path: '/user_id', message: 'is required' });
  }
  if (userId === undefined || errors.length > 0) return { errors };
  return { userId, itemId, limit, cursor };
}

function parseLimit(text: string): number | undefined {
  const limit = Number(text);
  return /^\d{1,3}$/.test(text) && limit >= 1 && limit <= PAGE_MAX ? limit : undefined;
}
