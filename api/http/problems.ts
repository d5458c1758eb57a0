import type { RequestId } from '../../engine/orders/order';
import type { HttpResponse } from './response';
import { OPERATOR_PROBLEMS, type OperatorProblemType } from './operator-problems';

/** Every way the gateway says no. These words are part of its public contract. */
export type ProblemType =
  | OperatorProblemType
  | 'invalid-request'
  | 'unknown-item'
  | 'duplicate-request'
  | 'request-in-progress'
  | 'sold-out'
  | 'purchase-limit'
  | 'sale-not-open'
  | 'sale-over'
  | 'too-large'
  | 'unsupported-media-type'
  | 'request-id-reused'
  | 'rate-limited'
  | 'not-accepted'
  | 'outcome-unknown'
  | 'internal'
  | 'unknown-order'
  | 'not-the-buyer'
  | 'too-late-to-cancel'
  | 'not-found'
  | 'method-not-allowed'
  | 'request-timeout';

export interface ProblemRow {
  readonly status: number;
  readonly title: string;
  /** What it means and what to do now; an answer may say it more precisely. */
  readonly detail: string;
}

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
  'rate-limited': {
    status: 429,
    title: 'Too many requests',
    detail: 'Slow down and try again.',
  },
  'not-accepted': {
    status: 503,
    title: 'Not accepted for now',
    detail:
      'This attempt bought nothing. Try again with the same request_id, which never buys twice.',
  },
  'outcome-unknown': {
    status: 503,
    title: 'The outcome is not known yet',
    detail:
      'The order may still go through. Ask again with the same request_id, never with a new one.',
  },
  internal: {
    status: 500,
    title: 'Internal error',
    detail: 'The fault is ours and has been logged. Ask again with the same request_id.',
  },
  'unknown-order': {
    status: 404,
    title: 'There is no such order',
    detail: 'No order has been accepted under this request_id.',
  },
  'not-the-buyer': {
    status: 403,
    title: 'The order is somebody else’s',
    detail: 'Only the user who made an order can cancel it. Nothing was changed.',
  },
  'too-late-to-cancel': {
    status: 409,
    title: 'It is too late to cancel this order',
    detail: 'It is confirmed or has failed, as `reason` says; `order` is how it ended.',
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
  ...OPERATOR_PROBLEMS,
} as const satisfies Record<ProblemType, ProblemRow>;

export interface ProblemOptions {
  /** For people; replaces the detail of the type. */
  readonly detail?: string;
  /** Only an id that passed the pattern, which stands for itself in JSON: anything else would echo a stranger's text. */
  readonly requestId?: RequestId | undefined;
  /** More members of the problem, in the names of the outside contract. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The answer for a problem. A 503 always tells when to come back. */
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
  const retryAfter = options.retryAfterSeconds ?? (status === 503 ? jitteredSeconds() : undefined);
  if (retryAfter === undefined && options.headers === undefined) return PROBLEM_HEADERS;
  return {
    ...PROBLEM_HEADERS,
    ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    ...options.headers,
  };
}

/** GET /problems/<name>: what the type of a problem points to. */
export function explainProblem(name: string): HttpResponse {
  if (!isProblemType(name)) return problem('not-found');
  const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' };
  return { status: 200, headers, body: CONSTANT_BODIES[name] };
}

function isProblemType(name: string): name is ProblemType {
  return Object.hasOwn(PROBLEMS, name);
}

/** Put together from texts, of which all but the occasion's own are written once. */
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

/** 1 to 3 s, spread so that a crowd that was turned away together does not come back together. */
function jitteredSeconds(): number {
  return 1 + Math.floor(Math.random() * 3);
}

const PROBLEM_HEADERS = {
  'content-type': 'application/problem+json',
  'cache-control': 'no-store',
};

/** The beginning of each problem's body, up to the place where a detail of the occasion goes. */
const SHORT_HEADS = forEachType((type) => {
  const { title, status } = PROBLEMS[type];
  const head = JSON.stringify({ type: `/problems/${type}`, title, status });
  return `${head.slice(0, -1)},"detail":`;
});

/** The same with the type's own detail. */
const HEADS = forEachType((type) => SHORT_HEADS[type] + JSON.stringify(PROBLEMS[type].detail));

/** Problems without a word of their own are answered under overload, where every microsecond counts. */
const CONSTANT_BODIES = forEachType((type) => problemBody(type, {}));

function forEachType(make: (type: ProblemType) => string): Record<ProblemType, string> {
  const entries = Object.keys(PROBLEMS)
    .filter(isProblemType)
    .map((type) => [type, make(type)]);
  return Object.fromEntries(entries) as Record<ProblemType, string>;
}
