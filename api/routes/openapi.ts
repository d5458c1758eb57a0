import { Type, type TProperties, type TSchema } from '@sinclair/typebox';
import { BuyRequest, Id } from '../buy/buy-request';
import { problem, PROBLEMS, type ProblemType } from '../http/problems';
import { Item } from './items';
import { DeadLetter, ReplayReport } from './operator/dead-letters';
import { FoundOrder } from './operator/order-search';
import { OperatorOrder } from './operator/orders';
import { OrderList } from './order-list';
import { Order, ORDER_EXAMPLE, OrderSummary } from './order-view';
import { Accepted } from './orders';
import { object, oneOf, text, time, units, type DocumentedResponse, type Route } from './route';
import { Live, ProblemExplanation, ProblemName, ReadyReport } from './system';

/** When the HTTP contract changes: the second number is raised for an addition, the first for anything else. */
const CONTRACT_VERSION = '3.4.0';

/** Whom a listener of the gateway serves. */
export type Audience = 'buyers' | 'operators';

const INFO: Readonly<Record<Audience, { readonly title: string; readonly what: string }>> = {
  buyers: { title: 'Flash Sale Engine', what: 'Buy units of an item and follow the order.' },
  operators: {
    title: 'Flash Sale Engine: operators',
    what: 'Operate the sale. Only the admin listener of the gateway has these paths; buyers use the public one.',
  },
};

/** Makes the OpenAPI document of a listener's routes, as plain JSON. `publicUrl` is how buyers reach the gateway. */
export function createOpenApi(
  routes: readonly Route[],
  { audience, publicUrl }: { readonly audience: Audience; readonly publicUrl?: string | undefined },
) {
  const { title, what } = INFO[audience];
  const paths: Record<string, Record<string, ReturnType<typeof operation>>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title,
      version: CONTRACT_VERSION,
      description: `${what} Every error is a problem document (RFC 9457). The header X-Request-Id of every response names the request in the log of the gateway.`,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: (audience === 'buyers' ? publicUrl : undefined) ?? '/' }],
    security: [],
    paths,
    components: {
      securitySchemes: {
        ...(routes.some(({ isForOperators }) => isForOperators) && { operator: OPERATOR_TOKEN }),
        ...(routes.some(({ isForBuyers }) => isForBuyers) && { buyer: BUYER_TOKEN }),
      },
      // Copies, so that a component is not replaced by a reference to itself.
      schemas: Object.fromEntries(
        Object.entries(COMPONENTS).map(([name, schema]) => [name, { ...schema }]),
      ),
    },
  };
  const json = JSON.stringify(withReferences(document));
  const absolute = json.replaceAll(TYPE, `"${publicUrl ?? ''}/problems/`);
  return withoutUnused(JSON.parse(absolute) as typeof document);
}

/** Leaves out the schemas to which no path refers: those of the other listener. */
function withoutUnused<
  T extends { paths: unknown; components: { schemas: Record<string, unknown> } },
>(document: T): T {
  const { schemas } = document.components;
  const used = new Set<string>();
  const collect = (value: unknown) => {
    const references = JSON.stringify(value).matchAll(/"#\/components\/schemas\/([^"]+)"/g);
    for (const [, name = ''] of references) {
      if (used.has(name)) continue;
      used.add(name);
      collect(schemas[name]);
    }
  };
  collect(document.paths);
  const kept = Object.entries(schemas).filter(([name]) => used.has(name));
  const components = { ...document.components, schemas: Object.fromEntries(kept) };
  return { ...document, components };
}

/** The beginning of a type of problem, which the path of its explanation is not. */
const TYPE = /"\/problems\/(?!\{)/g;

const OPERATOR_TOKEN = {
  type: 'http',
  scheme: 'bearer',
  description:
    'The token of a credential: the role read may use GET routes, operate every route. `npm start` keeps one in var/operator-token.',
};

const BUYER_TOKEN = {
  type: 'http',
  scheme: 'bearer',
  bearerFormat: 'JWT',
  description: 'A token of the identity provider. Its `sub` is the user_id.',
};

function operation(route: Route) {
  const { id, summary, description, parameters = [], body, isForOperators, isForBuyers } = route;
  return {
    operationId: id,
    tags: [isForOperators ? 'for operators' : 'for everyone'],
    summary,
    description,
    ...(isForOperators && { security: [{ operator: [] }] }),
    ...(isForBuyers && { security: [{ buyer: [] }] }),
    ...(parameters.length > 0 && {
      parameters: parameters.map(({ isRequired = false, ...one }) => ({
        ...one,
        required: isRequired || one.in === 'path',
      })),
    }),
    ...(body && { requestBody: { required: true, content: { 'application/json': body } } }),
    responses: {
      ...Object.fromEntries(
        route.responses.map((response) => [String(response.status), responseObject(response)]),
      ),
      ...problemResponses(route.problems),
      default: {
        description: 'Any other problem, such as a method that the path does not have.',
        content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } },
      },
    },
  };
}

function responseObject({ description, body, others = [], headers }: DocumentedResponse) {
  const content = [...(body ? [body] : []), ...others].map(({ mediaType, schema, example }) => [
    mediaType,
    { schema, example },
  ]);
  return {
    description,
    ...(headers && { headers: headerObjects(headers) }),
    ...(content.length > 0 && { content: Object.fromEntries(content) as unknown }),
  };
}

/** One response for each status, with all problems that share it. */
function problemResponses(types: readonly ProblemType[]) {
  const statuses = [...new Set(types.map((type) => PROBLEMS[type].status))];
  return Object.fromEntries(
    statuses.map((status) => {
      const alike = types.filter((type) => PROBLEMS[type].status === status);
      const schemas = alike.map((type) => PROBLEM_SCHEMAS[type]);
      const headers = Object.fromEntries(
        alike.flatMap((type) => Object.entries(EXTRAS[type]?.headers ?? {})),
      );
      const response = {
        description: `${alike.map((type) => PROBLEMS[type].title).join('. ')}.`,
        ...(Object.keys(headers).length > 0 && { headers: headerObjects(headers) }),
        content: {
          [PROBLEM_MEDIA_TYPE]: {
            schema: schemas.length === 1 ? schemas[0] : { anyOf: schemas },
            examples: Object.fromEntries(
              alike.map((type) => [type, { value: problemExample(type) }]),
            ),
          },
        },
      };
      return [String(status), response];
    }),
  );
}

const PROBLEM_MEDIA_TYPE = 'application/problem+json';

function headerObjects(headers: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' } },
    ]),
  );
}

/** Replaces every use of a component, found by its identity, by a reference to it. */
function withReferences(value: unknown): unknown {
  const name = COMPONENT_NAMES.get(value);
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  if (Array.isArray(value)) return value.map(withReferences);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, withReferences(member)]),
  );
}

const RETRY_AFTER = { 'Retry-After': 'seconds after which to ask again' };

/** What a type of problem has beyond the members of all of them. */
const EXTRAS: Partial<
  Record<
    ProblemType,
    {
      readonly members?: TProperties;
      readonly example?: Readonly<Record<string, unknown>>;
      readonly headers?: Readonly<Record<string, string>>;
    }
  >
> = {
  'invalid-request': {
    members: {
      errors: Type.Optional(
        Type.Array(
          object({
            path: text('JSON pointer; empty for the whole body'),
            message: Type.String(),
          }),
          { description: 'present if the body is invalid' },
        ),
      ),
    },
    example: { errors: [{ path: '/amount', message: 'is required' }] },
  },
  'unknown-item': { members: { item_id: Type.Optional(Id) }, example: { item_id: 'no-such' } },
  'duplicate-request': {
    members: { order: Order },
    example: { order: ORDER_EXAMPLE },
    headers: { Location: 'the order' },
  },
  'request-in-progress': { headers: RETRY_AFTER },
  'too-late-to-cancel': {
    members: { reason: oneOf(['confirmed', 'failed'], 'how it ended'), order: Order },
    example: { reason: 'confirmed', order: ORDER_EXAMPLE },
  },
  'sold-out': {
    members: { final: Type.Boolean({ description: 'true once every unit is sold' }) },
    example: { final: false },
  },
  'purchase-limit': {
    members: {
      units_per_user: Type.Integer({ minimum: 1 }),
      owned: units('units that the user already has'),
      final: Type.Boolean({
        description:
          'true when it does not help to ask again while the limit stays: no unit of the item is in checkout, or the amount alone exceeds the limit',
      }),
      links: Type.Optional(
        object({ orders: text('the orders of the user and the item; with an archive') }),
      ),
    },
    example: {
      units_per_user: 2,
      owned: 2,
      final: true,
      links: { orders: '/orders?item_id=101' },
    },
    headers: RETRY_AFTER,
  },
  'sale-not-open': {
    members: { opens_at: time('when the sale opens') },
    example: { opens_at: '2026-01-05T12:00:00.000Z' },
    headers: RETRY_AFTER,
  },
  'sale-over': {
    members: { closed_at: time('when the sale ended') },
    example: { closed_at: '2026-01-05T13:00:00.000Z' },
  },
  'not-accepted': {
    members: {
      ledger: Type.Optional(
        Type.Literal('lost', {
          description: 'present if the item sells nothing until an operator has restored its stock',
        }),
      ),
    },
    headers: RETRY_AFTER,
  },
  'selling-stopped': { headers: RETRY_AFTER },
  'outcome-unknown': { headers: RETRY_AFTER },
  'dependency-unavailable': { headers: RETRY_AFTER },
  unauthorized: { headers: { 'WWW-Authenticate': 'Bearer' } },
  forbidden: { headers: { 'WWW-Authenticate': 'Bearer, with the error insufficient_scope' } },
  unauthenticated: {
    headers: { 'WWW-Authenticate': 'Bearer, with an error_description if a token was sent' },
  },
  'not-replayable': {
    members: { outcome: text('what the order is instead'), letter_id: Type.String() },
    example: { outcome: 'cancelled', letter_id: 'req-1:run-1' },
  },
  'stale-stock': {
    members: {
      free: units('free units now'),
      expected: units('free units that If-Match names'),
    },
    example: { free: 73, expected: 100 },
  },
  'unfinished-orders': {
    members: {
      request_ids: Type.Array(Type.String(), {
        description: 'some of the orders that are not over',
      }),
    },
    example: { request_ids: ['req-1'] },
  },
  'units-owned': {
    members: {
      users: units('users above the limit'),
      most: units('the most units that one of them owns'),
    },
    example: { users: 3, most: 4 },
  },
};

/** A problem as the gateway writes it. */
export function problemExample(type: ProblemType): unknown {
  return JSON.parse(String(problem(type, { members: EXTRAS[type]?.example ?? {} }).body));
}

export const PROBLEM_SCHEMAS = Object.fromEntries(
  (Object.keys(PROBLEMS) as ProblemType[]).map((type) => [type, problemSchema(type)]),
) as Record<ProblemType, TSchema>;

function problemSchema(type: ProblemType): TSchema {
  const { status, title, detail } = PROBLEMS[type];
  return Type.Object(
    {
      type: Type.Literal(`/problems/${type}`),
      title: Type.Literal(title),
      status: Type.Literal(status),
      detail: text('for people; may be more precise than here'),
      request_id: Type.Optional(Id),
      ...EXTRAS[type]?.members,
    },
    { additionalProperties: false, title, description: detail },
  );
}

const Problem = Type.Union(Object.values(PROBLEM_SCHEMAS), {
  description: 'A problem document (RFC 9457). Its type says what happened and never changes.',
});

/** The named schemas of the document. */
export const COMPONENTS = {
  BuyRequest,
  Accepted,
  Order,
  OrderSummary,
  OrderList,
  Item,
  Live,
  ReadyReport,
  ProblemExplanation,
  ProblemName,
  DeadLetter,
  ReplayReport,
  OperatorOrder,
  FoundOrder,
  Problem,
  ...Object.fromEntries(
    Object.entries(PROBLEM_SCHEMAS).map(([type, schema]) => [`problem.${type}`, schema]),
  ),
};
const COMPONENT_NAMES = new Map<unknown, string>(
  Object.entries(COMPONENTS).map(([name, schema]) => [schema, name]),
);
