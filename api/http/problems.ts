import type { RequestId } from '../../engine/orders/order';
import type { HttpResponse } from './response';

/**
 * Every reason for which the gateway refuses a request. The types are part of its public contract. `detail` says what the
 * problem means and what to do now; a response may have a more precise one.
 */
export const PROBLEMS = {
  'invalid-request': {
    status: 400,
    title: 'The request is not valid',
    detail: 'Correct what `errors` names and send it again.',
  },
  'unknown-item': {
    status: 404,
    title: 'There is no such item',
    detail: 'Nothing is sold under this item_id.',
  },
  'duplicate-request': {
    status: 409,
    title: 'This request was already accepted',
    detail: 'The order made by the first request is in `order`. Nothing was bought a second time.',
  },
  'request-in-progress': {
    status: 409,
    title: 'This request is being worked on',
    detail: 'Another attempt with this request_id has not finished. Ask again a little later.',
  },
  'sold-out': {
    status: 409,
    title: 'No unit is free',
    detail: 'When `final` is false, units are still in checkout and may return.',
  },
  'purchase-limit': {
    status: 409,
    title: 'The purchase limit is reached',
    detail: 'With this order the user would own more than `units_per_user` units of the item.',
  },
  'sale-not-open': {
    status: 409,
    title: 'The sale has not started',
    detail: 'Come back at `opens_at`.',
  },
  'sale-over': {
    status: 409,
    title: 'The sale has ended',
    detail: 'It ended at `closed_at`.',
  },
  'too-large': {
    status: 413,
    title: 'The request is too large',
    detail: 'An order takes a few hundred bytes; more than 16 KiB are not read.',
  },
  'unsupported-media-type': {
    status: 415,
    title: 'The body is not JSON by its headers',
    detail: 'Send uncompressed `application/json` in UTF-8.',
  },
  'request-id-reused': {
    status: 422,
    title: 'This request_id names another purchase',
    detail: 'Use a new request_id for a new purchase, and repeat a request without changes.',
  },
  unauthenticated: {
    status: 401,
    title: 'This needs the token of a buyer',
    detail: 'Send `Authorization: Bearer <token>` with a token of the shop’s identity provider.',
  },
  'other-user': {
    status: 403,
    title: 'The token is another user’s',
    detail: 'Leave `user_id` out: the token says who the buyer is. Nothing was changed.',
  },
  'request-id-not-a-uuid': {
    status: 422,
    title: 'The request_id is not a UUID',
    detail: 'Use a new random UUID for each purchase, and repeat a request with the same one.',
  },
  'rate-limited': {
    status: 429,
    title: 'Too many requests',
    detail: 'Slow down and try again.',
  },
  'not-accepted': {
    status: 503,
    title: 'Not accepted for now',
    detail: 'This attempt bought nothing. Try again with the same request_id; it never buys twice.',
  },
  'selling-stopped': {
    status: 503,
    title: 'All selling is stopped',
    detail: 'This attempt bought nothing. Try again later with the same request_id.',
  },
  'outcome-unknown': {
    status: 503,
    title: 'The outcome is not known yet',
    detail: 'The order may still go through. Ask again with the same request_id, not a new one.',
  },
  internal: {
    status: 500,
    title: 'Internal error',
    detail: 'An error in the gateway; it has been logged. Ask again with the same request_id.',
  },
  'unknown-order': {
    status: 404,
    title: 'There is no such order',
    detail: 'No order has been accepted under this request_id.',
  },
  'no-archive': {
    status: 404,
    title: 'This gateway has no archive of orders',
    detail: 'Read an order by its request_id. With DATABASE_URL the gateway lists orders as well.',
  },
  'not-the-buyer': {
    status: 403,
    title: 'The order is somebody else’s',
    detail: 'Only the user who made an order can cancel it. Nothing was changed.',
  },
  'too-late-to-cancel': {
    status: 409,
    title: 'It is too late to cancel this order',
    detail:
      '`reason` says whether it is confirmed or has failed; `order` is the order as it ended.',
  },
  'not-found': {
    status: 404,
    title: 'There is nothing here',
    detail: 'The gateway has no such path.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The method does not fit the path',
    detail: 'The Allow header lists the methods that do.',
  },
  'request-timeout': {
    status: 408,
    title: 'The request did not arrive in time',
    detail: 'The body stopped arriving before it was complete.',
  },
  'headers-too-large': {
    status: 431,
    title: 'The headers of the request are too large',
    detail:
      'Headers may take 8 KiB. Remove cookies and other headers that the gateway does not need.',
  },

  // Operators only.
  'operator-disabled': {
    status: 404,
    title: 'This gateway serves no operators',
    detail: 'Start it with OPERATORS_FILE or OPERATOR_TOKEN to enable the paths under /operator.',
  },
  unauthorized: {
    status: 401,
    title: 'This needs the token of an operator',
    detail:
      'Send `Authorization: Bearer <token>` with the token of a credential that is valid now.',
  },
  forbidden: {
    status: 403,
    title: 'This credential may only read',
    detail: 'Use a credential with the role operate. Nothing was changed.',
  },
  'unknown-dead-letter': {
    status: 404,
    title: 'There is no such dead letter',
    detail: 'No dead letter among the newest has this request_id or letter id.',
  },
  'dealt-with': {
    status: 409,
    title: 'The dead letter has been dealt with',
    detail: 'Send `all: true` to replay it all the same.',
  },
  'several-dead-letters': {
    status: 409,
    title: 'The order has several open dead letters',
    detail: 'Name the letter ids to discard.',
  },
  'not-replayable': {
    status: 409,
    title: 'The order cannot be tried again as it is',
    detail: '`outcome` says why.',
  },
  'unfinished-orders': {
    status: 409,
    title: 'The user has orders that are not over',
    detail: 'Wait for those in `request_ids`, or cancel them. Nothing was changed.',
  },
  'units-owned': {
    status: 409,
    title: 'Users own more units than the limit',
    detail: 'Send `force: true` to apply the limit to purchases from now on.',
  },
  'stale-stock': {
    status: 412,
    title: 'The free units have changed',
    detail: 'There are `free` units, not `expected`. Nothing was changed: look again, then decide.',
  },
  'operation-reused': {
    status: 422,
    title: 'This operation_id has asked for something else',
    detail: 'Use a new operation_id for a new operation, and repeat a request without changes.',
  },
  'not-refundable': {
    status: 409,
    title: 'The order cannot be refunded',
    detail: 'Only a confirmed order can be refunded. Nothing was changed.',
  },
  'refund-refused': {
    status: 409,
    title: 'The refund is refused',
    detail:
      '`code` says why: the word is the payment provider’s, or the engine’s. Nothing was changed.',
  },
  'refund-failed': {
    status: 409,
    title: 'The refund has failed',
    detail:
      'The payment provider has made it, and the money came back: `code` says why. Pay by other means, or try another refund under a new operation_id.',
  },
  'not-restocked': {
    status: 409,
    title: 'The money is given back, and the units are not on sale again',
    detail: '`code` says why. Put them on sale by a restock.',
  },
  'unreadable-stock': {
    status: 409,
    title: 'The stock or the sale of the item cannot be read',
    detail: 'Its value in Redis is not a whole number.',
  },
  'dependency-unavailable': {
    status: 503,
    title: 'A system behind the gateway does not answer',
    detail: 'Nothing is lost. Send the same request again: it continues where this one stopped.',
  },
} as const satisfies Record<string, { status: number; title: string; detail: string }>;

export type ProblemType = keyof typeof PROBLEMS;

export interface ProblemOptions {
  /** For people; replaces the detail of the type. */
  readonly detail?: string;
  /** Only an id that matches the pattern: it is written into the JSON as it is. */
  readonly requestId?: RequestId | undefined;
  /** More members of the problem, by their public names. */
  readonly members?: Readonly<Record<string, unknown>>;
  /** Rounded up to whole seconds, at least 1: a zero would invite a busy loop. */
  readonly retryAfterMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The response for a problem. A 503 always has a Retry-After. */
export function problem(type: ProblemType, options?: ProblemOptions): HttpResponse {
  const { status } = PROBLEMS[type];
  return {
    status,
    problem: type,
    headers: problemHeaders(status, options),
    body: options === undefined ? CONSTANT_BODIES[type] : problemBody(type, options),
  };
}

function problemHeaders(status: number, options: ProblemOptions = {}): HttpResponse['headers'] {
  const retryAfter = retryAfterSeconds(status, options.retryAfterMs);
  if (retryAfter === undefined && options.headers === undefined) return PROBLEM_HEADERS;
  return {
    ...PROBLEM_HEADERS,
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    ...options.headers,
  };
}

function retryAfterSeconds(status: number, ms: number | undefined): number | undefined {
  if (ms !== undefined) return Math.max(1, Math.ceil(ms / 1_000));
  // 1 to 3 s, random so that clients that were refused together do not come back together.
  return status === 503 ? 1 + Math.floor(Math.random() * 3) : undefined;
}

/**
 * The response with the type of its problem as an absolute URL, by which a document can be understood away from the gateway
 * that made it. As it is where it has none, and where the gateway's public URL is not known.
 */
export function withAbsoluteType(response: HttpResponse, publicUrl?: string): HttpResponse {
  const { status, headers, body, problem: type } = response;
  if (publicUrl === undefined || typeof body !== 'string' || !body.startsWith(RELATIVE_TYPE)) {
    return response;
  }
  const absolute = `{"type":"${publicUrl}${body.slice('{"type":"'.length)}`;
  return { status, headers, body: absolute, ...(type !== undefined && { problem: type }) };
}

const RELATIVE_TYPE = '{"type":"/problems/';

/** GET /problems/<name>: the page to which the type of a problem points. */
export function explainProblem(name: string): HttpResponse {
  if (!isProblemType(name)) return problem('not-found');
  const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' };
  return { status: 200, headers, body: CONSTANT_BODIES[name] };
}

function isProblemType(name: string): name is ProblemType {
  return Object.hasOwn(PROBLEMS, name);
}

/** Concatenated, because a JSON.stringify of the whole costs more. */
function problemBody(
  type: ProblemType,
  { detail, requestId, members = {} }: ProblemOptions,
): string {
  let body = detail === undefined ? HEADS[type] : SHORT_HEADS[type] + JSON.stringify(detail);
  if (requestId !== undefined) body += `,"request_id":"${requestId}"`;
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) body += `,${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  return `${body}}`;
}

const PROBLEM_HEADERS = {
  'content-type': 'application/problem+json',
  'cache-control': 'no-store',
};

/** The beginning of each problem's body, up to the value of its detail. */
const SHORT_HEADS = forEachType((type) => {
  const { title, status } = PROBLEMS[type];
  const head = JSON.stringify({ type: `/problems/${type}`, title, status });
  return `${head.slice(0, -1)},"detail":`;
});

/** The same with the detail of the type. */
const HEADS = forEachType((type) => SHORT_HEADS[type] + JSON.stringify(PROBLEMS[type].detail));

/** Problems without options are the response under overload, where every microsecond counts. */
const CONSTANT_BODIES = forEachType((type) => problemBody(type, {}));

function forEachType(make: (type: ProblemType) => string): Record<ProblemType, string> {
  const entries = Object.keys(PROBLEMS)
    .filter(isProblemType)
    .map((type) => [type, make(type)]);
  return Object.fromEntries(entries) as Record<ProblemType, string>;
}
