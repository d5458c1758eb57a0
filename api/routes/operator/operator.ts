import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { ValueErrorType, type ValueError } from '@sinclair/typebox/errors';
import type { DiscardDeps } from '../../../engine/dead-letters/discard';
import { parseMoment } from '../../../engine/dead-letters/operator';
import type { ReplayDeps } from '../../../engine/dead-letters/replay';
import type { Action, ActionName, Outcome, RecordLate } from '../../../engine/operators/action-log';
import type { Price } from '../../../engine/orders/order';
import type { RefundStarter } from '../../../engine/payments/start-refund';
import type { StockOperations } from '../../../engine/stock/stock-operations';
import type { SellingSwitch, SellingWatch } from '../../../engine/stock/selling-switch';
import type { Archive } from '../../../engine/archive/archive';
import type { StockLedger } from '../../../engine/stock/stock-ledger';
import { describeError } from '../../../platform/user-error';
import { RequestError } from '../../http/errors';
import type { ProblemType } from '../../http/problems';
import type { HttpResponse } from '../../http/response';
import type { OrderLookup } from '../order-lookup';
import type { FindOrder } from '../orders';
import {
  jsonResponse,
  type DocumentedResponse,
  type Parameter,
  type Route,
  type RouteContext,
} from '../route';

/** Where the Temporal Web UI shows workflows. */
export interface TraceTarget {
  /** Without a slash at its end. */
  readonly uiUrl: string;
  readonly namespace: string;
}

/** What the operators' handlers work with. */
export interface Operator {
  readonly operations: StockOperations;
  readonly ledger: Pick<StockLedger, 'item'>;
  readonly findOrder: FindOrder;
  readonly lookUp: OrderLookup;
  readonly refunds: Pick<RefundStarter, 'refund'>;
  /** Absent: no trace links. */
  readonly trace?: TraceTarget | undefined;
  readonly defaultPrice: Price;
  readonly letters: ReplayDeps & DiscardDeps;
  /** The switch, and this process's view of it. */
  readonly selling: Pick<SellingSwitch, 'read' | 'change'> &
    Pick<SellingWatch, 'follow' | 'refresh' | 'standing'>;
  /** Absent: there is no archive. */
  readonly archive?: Pick<Archive, 'search' | 'report' | 'eraseUser'> | undefined;
  /** Runs changes of dead letters one at a time. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Who sends a request, and what records it. */
export interface Caller {
  readonly name: string;
  readonly record: (action: Action, act: () => Promise<ActionResponse>) => Promise<HttpResponse>;
  readonly recordLate: RecordLate;
}

/** A response to what changes something, with what was changed. */
export interface ActionResponse extends HttpResponse, Partial<Outcome> {}

export interface OperatorRoute extends Omit<Route, 'handle'> {
  /** `body` is parsed JSON. Throws a RequestError or an OperatorError. */
  readonly carryOut: (
    operator: Operator,
    caller: Caller,
    context: RouteContext,
    body: unknown,
  ) => Promise<HttpResponse>;
}

/** `path` is a JSON pointer, empty for the whole body. */
export function invalid(
  ...errors: readonly { readonly path: string; readonly message: string }[]
): RequestError {
  return new RequestError('invalid fields', { problem: 'invalid-request', members: { errors } });
}

/** The fields of a body that say who acts for whom and why. They are recorded apart from what is asked for. */
interface Said {
  readonly by?: string;
  readonly why?: string;
}

/** With 200; `more`: with other statuses that are no problem. */
interface SuccessfulResponse {
  readonly description: string;
  readonly schema: TSchema;
  readonly example: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly others?: DocumentedResponse['others'];
  readonly more?: readonly DocumentedResponse[];
}

/**
 * Declares a route that responds with 200 and JSON. The schemas of body and query both check the request and document it.
 * Their descriptions complete the sentence "the field …". Every route but a GET has an `action`, as has a GET that is to be recorded, and each of its requests
 * is recorded, unless `isOnlyRead` says that it changes nothing. One that `isUrgent` does not wait for its record: its
 * handler records what it has done.
 */
export function operatorRoute<Body extends TSchema, Query extends TSchema>({
  response,
  query,
  handle,
  action,
  isOnlyRead = () => false,
  isUrgent = false,
  ...declaration
}: Pick<Route, 'method' | 'path' | 'id' | 'summary' | 'description'> & {
  readonly parameters?: readonly Parameter[];
  readonly query?: Query;
  readonly body?: { readonly schema: Body; readonly example: Static<Body> };
  readonly response: SuccessfulResponse;
  readonly problems: readonly ProblemType[];
  readonly isOnlyRead?: (
    body: Static<Body>,
    request: { readonly query: RouteContext['query']; readonly accept: string | undefined },
  ) => boolean;
  readonly isUrgent?: boolean;
  readonly handle: (
    operator: Operator,
    request: {
      readonly params: RouteContext['params'];
      readonly query: Static<Query>;
      readonly body: Static<Body>;
      readonly ifMatch: string | undefined;
      readonly accept: string | undefined;
      /** The operator, as ledger and marks name them. */
      readonly by: string;
      /** Records the outcome of an urgent action. */
      readonly recordLate: (outcome: Outcome) => Promise<boolean>;
    },
  ) => Promise<ActionResponse>;
} & (
    | { readonly method: 'get'; readonly action?: ActionName }
    | { readonly method: 'post' | 'put' | 'delete'; readonly action: ActionName }
  )): OperatorRoute {
  const { parameters = [], body, problems } = declaration;
  const parseBody = createParser(body?.schema);
  const parseQuery = createParser(query);
  const fields = Object.entries((query?.['properties'] ?? {}) as Record<string, TSchema>);
  return {
    ...declaration,
    parameters: [
      ...parameters,
      ...fields.map(([name, schema]): Parameter => ({
        in: 'query',
        name,
        schema,
        description: schema.description ?? name,
      })),
    ],
    isForOperators: true,
    responses: [
      {
        ...jsonResponse(200, response.description, response, response.headers),
        ...(response.others && { others: response.others }),
      },
      ...(response.more ?? []),
    ],
    problems: [
      ...problems,
      ...(declaration.method === 'get' ? [] : (['forbidden'] as const)),
      ...(body || query ? (['invalid-request'] as const) : []),
      ...(body ? BODY_PROBLEMS : []),
      ...COMMON_PROBLEMS,
    ],
    carryOut: (operator, caller, context, value) => {
      const body = parseBody(value);
      const { by: onBehalfOf, why, ...fields } = (body ?? {}) as Said & Record<string, unknown>;
      const { 'if-match': ifMatch, accept } = context.req.headers;
      const { params, query } = context;
      const request = recordable({ ...params, ...query, ...fields, if_match: ifMatch });
      const itemId = params['item_id'];
      const recorded = action && { action, itemId, why, onBehalfOf, request };
      const recordLate = (outcome: Outcome) =>
        recorded ? caller.recordLate(recorded, outcome) : Promise.resolve(false);
      const respond = () =>
        handle(operator, {
          params: context.params,
          query: parseQuery({ ...context.query }),
          body,
          ifMatch,
          accept,
          by: onBehalfOf === undefined ? caller.name : `${caller.name} for ${onBehalfOf}`,
          recordLate,
        });
      if (recorded === undefined || isOnlyRead(body, { query, accept })) return respond();
      if (!isUrgent) return caller.record(recorded, respond);
      return respond().catch(async (error: unknown) => {
        await recordLate({ outcome: 'unknown', detail: describeError(error) });
        throw error;
      });
    },
  };
}

/** These name a buyer, whom the record of actions would remember for ever. It says only that they were there. */
const PERSONAL: ReadonlySet<string> = new Set(['mended', 'user_id']);

function recordable(request: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(request).map(([name, value]) => [name, PERSONAL.has(name) ? true : value]),
  );
}

const BODY_PROBLEMS = ['request-timeout', 'too-large', 'unsupported-media-type'] as const;
const COMMON_PROBLEMS = [
  'unauthorized',
  'operator-disabled',
  'internal',
  'dependency-unavailable',
] as const;

/** Without a schema every value passes. The parser throws a RequestError that names every invalid field. */
function createParser<T extends TSchema>(schema: T | undefined): (value: unknown) => Static<T> {
  const compiled = TypeCompiler.Compile<TSchema>(schema ?? Type.Unknown());
  return (value) => {
    if (compiled.Check(value)) return value;
    const errors = new Map<string, string>();
    for (const error of compiled.Errors(value)) {
      if (!errors.has(error.path)) errors.set(error.path, explain(error));
      if (errors.size === ERRORS_MAX) break;
    }
    throw invalid(...[...errors].map(([path, message]) => ({ path, message })));
  };
}

/** The first few errors are enough to see what kind of body it is. */
const ERRORS_MAX = 20;

function explain(error: ValueError): string {
  if (error.type === ValueErrorType.ObjectRequiredProperty) return 'is required';
  if (error.type === ValueErrorType.ObjectAdditionalProperties) return 'is not a known field';
  return error.schema.description ?? error.message;
}

/** For the schema of a body. */
export const JSON_OBJECT = { description: 'must be a JSON object' };

/** A name or reason of an operator: visible characters on one line, because tables, records and logs show it. */
export const visibleText = (maxLength: number) =>
  Type.String({
    maxLength,
    pattern: '^(?=.*\\S)[^\\u0000-\\u001f\\u007f]+$',
    description: `must be a text of 1 to ${maxLength} characters in one line`,
  });
export const By = Type.Optional(
  Type.String({
    ...visibleText(100),
    description:
      'must be a text of 1 to 100 characters in one line: for whom you act, if not for yourself',
  }),
);

export const whole = (minimum: number, maximum: number) =>
  Type.Integer({
    minimum,
    maximum,
    description: `must be a whole number from ${minimum} to ${maximum}`,
  });

export const Time = Type.String({
  description: 'must be a time such as 2026-11-24T10:00Z, or 90s, 30m, 2h, 7d ago',
});

/** Milliseconds since the epoch; absent and null stay what they are. Throws a RequestError. */
export function readTime<Absent extends null | undefined>(
  text: string | Absent,
  path: string,
): number | Absent {
  if (typeof text !== 'string') return text;
  const at = parseMoment(text, Date.now());
  if (at === undefined) throw invalid({ path, message: Time.description ?? '' });
  return at;
}
