import { Type, type Static } from '@sinclair/typebox';
import {
  ARCHIVED_STATUSES,
  cursorText,
  parseCursor,
  type Archive,
  type ArchivedAcceptance,
  type OrderFilters,
} from '../../../engine/archive/archive';
import { ORDER_REASONS } from '../../../engine/orders/order';
import { Id } from '../../buy/buy-request';
import { readFromArchive } from '../../http/errors';
import { problem } from '../../http/problems';
import { json } from '../../http/response';
import { NO_STORE, object, oneOf, orNull, text, time } from '../route';
import { invalid, operatorRoute, readTime, Time } from './operator';

const PAGE_MAX = 500;
const PAGE = 50;

/** Rows of an export that are in memory at once. */
const EXPORT_PAGE = 1_000;

const FORMATS = ['json', 'csv', 'ndjson'] as const;
type Format = (typeof FORMATS)[number];

/** An accepted order as a search finds it. */
export const FoundOrder = object({
  order_id: text('names this acceptance, for ever'),
  request_id: Id,
  item_id: Id,
  user_id: Id,
  amount: Type.Integer({ minimum: 1, description: 'units' }),
  price_minor: Type.Integer({ minimum: 1, description: 'of a unit, in minor units' }),
  currency: Type.String({ description: 'ISO 4217' }),
  status: oneOf(
    ARCHIVED_STATUSES,
    '`repeated`: accepted twice; another row of the request_id is the order',
  ),
  reason: orNull(
    oneOf(ORDER_REASONS, 'why it was not sold'),
    'null unless it failed, or was not paid in time',
  ),
  payment_id: orNull(Type.String(), "the payment provider's id of the charge"),
  generation: Type.Integer({ minimum: 0, description: 'the number of tries to sell it' }),
  accepted_at: time('when its units were held'),
  finished_at: orNull(time('when it was sold or released'), 'null until then'),
  refunded_minor: Type.Integer({ minimum: 0, description: 'what was given back after the sale' }),
  restocked: Type.Integer({ minimum: 0, description: 'units that are on sale again' }),
});
type FoundOrderBody = Static<typeof FoundOrder>;

const EXAMPLE: FoundOrderBody = {
  order_id: 'kJ3x9QpLm2Zt.1f',
  request_id: 'req-1',
  item_id: '101',
  user_id: 'u1',
  amount: 1,
  price_minor: 1000,
  currency: 'USD',
  status: 'confirmed',
  reason: null,
  payment_id: 'ch_1',
  generation: 1,
  accepted_at: '2026-01-05T12:00:00.000Z',
  finished_at: '2026-01-05T12:00:00.250Z',
  refunded_minor: 0,
  restocked: 0,
};

function viewFound(order: ArchivedAcceptance): FoundOrderBody {
  const { reason = null, paymentId = null, finishedAt } = order;
  return {
    order_id: order.orderId,
    request_id: order.requestId,
    item_id: order.itemId,
    user_id: order.userId,
    amount: order.amount,
    price_minor: order.priceMinor,
    currency: order.currency,
    status: order.status,
    reason,
    payment_id: paymentId,
    generation: order.generation,
    accepted_at: new Date(order.acceptedAt).toISOString(),
    finished_at: finishedAt === undefined ? null : new Date(finishedAt).toISOString(),
    refunded_minor: order.refundedMinor,
    restocked: order.restocked,
  };
}

const searchOrders = operatorRoute({
  method: 'get',
  path: '/operator/orders',
  action: 'orders.export',
  isOnlyRead: (_body, request) => formatOf(request) === 'json',
  id: 'operatorOrders',
  summary: 'Search and export orders',
  description:
    'Orders of the archive, newest first, page by page. `format`, or an Accept header with `text/csv` or `application/x-ndjson`, exports all that match, as a stream that is cut off if the archive goes away; an export is in the record of actions. Needs a gateway with an archive.',
  query: object({
    request_id: Type.Optional(Id),
    user_id: Type.Optional(Id),
    item_id: Type.Optional(Id),
    payment_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        pattern: '^[^\\u0000]+$',
        description: 'must be the id of a charge',
      }),
    ),
    status: Type.Optional(
      oneOf(ARCHIVED_STATUSES, `must be one of ${ARCHIVED_STATUSES.join(', ')}`),
    ),
    reason: Type.Optional(oneOf(ORDER_REASONS, `must be one of ${ORDER_REASONS.join(', ')}`)),
    since: Type.Optional(Time),
    until: Type.Optional(Time),
    limit: Type.Optional(
      Type.String({
        pattern: '^([1-9]\\d?|[1-4]\\d\\d|500)$',
        description: `must be a whole number from 1 to ${PAGE_MAX}; ${PAGE} when absent. An export has no pages`,
      }),
    ),
    cursor: Type.Optional(Type.String({ description: 'must be the cursor of `next`' })),
    format: Type.Optional(oneOf(FORMATS, `must be one of ${FORMATS.join(', ')}`)),
  }),
  response: {
    description: 'The orders.',
    schema: object({
      orders: Type.Array(FoundOrder),
      next: orNull(text('the next page'), 'null: there is none'),
    }),
    example: { orders: [EXAMPLE], next: null },
    others: [
      { mediaType: 'text/csv', schema: Type.String(), example: csvHead() + csvLine(EXAMPLE) },
      { mediaType: 'application/x-ndjson', schema: Type.String(), example: ndjsonLine(EXAMPLE) },
    ],
  },
  problems: ['no-archive'],
  handle: async ({ archive }, { query, accept }) => {
    if (!archive) return problem('no-archive');
    const filters = filtersOf(query);
    const cursor = query.cursor === undefined ? undefined : parseCursor(query.cursor);
    if (query.cursor !== undefined && !cursor) {
      throw invalid({ path: '/cursor', message: 'must be the cursor of `next`' });
    }
    const format = formatOf({ query, accept });
    if (format !== 'json') {
      if (query.limit !== undefined) {
        throw invalid({ path: '/limit', message: 'an export has no pages' });
      }
      const first = await readFromArchive(
        archive.search({ ...filters, cursor, limit: EXPORT_PAGE }),
      );
      return {
        status: 200,
        headers: { ...NO_STORE, ...EXPORT_HEADERS[format] },
        body: '',
        stream: exported(archive, filters, first, format),
      };
    }
    const limit = Number(query.limit ?? PAGE);
    const found = await readFromArchive(archive.search({ ...filters, cursor, limit: limit + 1 }));
    const orders = found.slice(0, limit);
    const last = found.length > limit ? orders.at(-1) : undefined;
    const next = last ? nextLink({ ...query, cursor: cursorText(last) }) : null;
    return json(200, { orders: orders.map(viewFound), next }, NO_STORE);
  },
});

/** Operators find orders, whoever's they are and however old. */
export const SEARCH_ROUTES = [searchOrders];

function filtersOf(query: {
  readonly request_id?: string;
  readonly user_id?: string;
  readonly item_id?: string;
  readonly payment_id?: string;
  readonly status?: OrderFilters['status'];
  readonly reason?: string;
  readonly since?: string;
  readonly until?: string;
}): OrderFilters {
  return {
    requestId: query.request_id,
    userId: query.user_id,
    itemId: query.item_id,
    paymentId: query.payment_id,
    status: query.status,
    reason: query.reason,
    since: readTime(query.since, '/since'),
    until: readTime(query.until, '/until'),
  };
}

function nextLink(query: Readonly<Record<string, string>>): string {
  return `/operator/orders?${new URLSearchParams(query).toString()}`;
}

function formatOf({
  query,
  accept = '',
}: {
  readonly query: { readonly format?: string | readonly string[] | undefined };
  readonly accept: string | undefined;
}): Format {
  const format = FORMATS.find((known) => known === query.format);
  if (format) return format;
  if (accept.includes('text/csv')) return 'csv';
  return accept.includes('application/x-ndjson') ? 'ndjson' : 'json';
}

const EXPORT_HEADERS = {
  csv: {
    'content-type': 'text/csv; charset=utf-8; header=present',
    'content-disposition': 'attachment; filename="orders.csv"',
  },
  ndjson: { 'content-type': 'application/x-ndjson' },
} as const;

/** All orders from `first` on. A page is read when the client has taken the one before. */
async function* exported(
  archive: Pick<Archive, 'search'>,
  filters: OrderFilters,
  first: readonly ArchivedAcceptance[],
  format: Exclude<Format, 'json'>,
): AsyncGenerator<string> {
  if (format === 'csv') yield csvHead();
  const line = format === 'csv' ? csvLine : ndjsonLine;
  let page = first;
  for (;;) {
    yield page.map((order) => line(viewFound(order))).join('');
    const cursor = page.length < EXPORT_PAGE ? undefined : page.at(-1);
    if (!cursor) return;
    page = await archive.search({ ...filters, cursor, limit: EXPORT_PAGE });
  }
}

function ndjsonLine(order: FoundOrderBody): string {
  return `${JSON.stringify(order)}\n`;
}

function csvHead(): string {
  return csvRow(Object.keys(FoundOrder.properties));
}

function csvLine(order: FoundOrderBody): string {
  return csvRow(Object.values(order));
}

/** As in RFC 4180. */
function csvRow(values: readonly (string | number | null)[]): string {
  return `${values.map(csvValue).join(',')}\r\n`;
}

/** A text that a spreadsheet would take for a formula begins with an apostrophe, as the spreadsheet itself marks texts. */
function csvValue(value: string | number | null): string {
  if (typeof value !== 'string') return String(value ?? '');
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
