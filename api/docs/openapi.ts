import { Type } from '@sinclair/typebox';
import { BuyRequest } from '../buy/buy-request';
import { PROBLEMS, type ProblemType } from '../http/problems';
import { problemExample } from './examples';
import { DeadLetter, ReplayReport } from './operator-schemas';
import type { DocumentedAnswer, DocumentedRoute } from './documented-route';
import { ROUTES } from './routes';
import * as schemas from './schemas';

/** The part of JSON Schema that the document uses. */
export interface Schema {
  readonly $ref?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly format?: string;
}

export interface MediaType {
  readonly schema: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

export interface ResponseObject {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly description: string }>>;
  readonly content?: Readonly<Record<string, MediaType>>;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  /** There on what only operators may do. */
  readonly security?: readonly object[];
  readonly parameters?: readonly {
    readonly in: 'path' | 'header' | 'query';
    readonly name: string;
    readonly description: string;
    readonly required: boolean;
    readonly schema: Schema;
    readonly example?: string;
  }[];
  readonly requestBody?: {
    readonly required: true;
    readonly content: Readonly<Record<string, MediaType>>;
  };
  /** By status, and `default`. */
  readonly responses: Readonly<Record<string, ResponseObject>>;
}

export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** Raised when the outside contract changes: the second number for an addition, the first for anything else. */
const CONTRACT_VERSION = '1.1.0';

const PROBLEM_MEDIA_TYPE = 'application/problem+json';

const Problem = Type.Union(Object.values(schemas.PROBLEM_SCHEMAS), {
  description: 'A problem document (RFC 9457). Its type says what happened and never changes.',
});

/** The named schemas; wherever one of these very objects is used, the document refers to it. */
export const COMPONENTS = {
  BuyRequest,
  Accepted: schemas.Accepted,
  Order: schemas.Order,
  Item: schemas.Item,
  Live: schemas.Live,
  ReadyReport: schemas.ReadyReport,
  ProblemExplanation: schemas.ProblemExplanation,
  ProblemName: schemas.ProblemName,
  DeadLetter,
  ReplayReport,
  Problem,
  ...Object.fromEntries(
    Object.entries(schemas.PROBLEM_SCHEMAS).map(([type, schema]) => [`problem.${type}`, schema]),
  ),
};

/** The OpenAPI document of the gateway, as plain JSON. */
export function createOpenApi(): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of ROUTES) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
  }
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Flash Sale Engine',
      version: CONTRACT_VERSION,
      description:
        'Buy units of an item, and see what became of the order. Every refusal is a problem document (RFC 9457).',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [],
    paths,
    components: {
      securitySchemes: { operator: { type: 'http', scheme: 'bearer' } },
      schemas: Object.fromEntries(Object.entries(COMPONENTS).map(namedSchema)),
    },
  };
  return JSON.parse(JSON.stringify(withReferences(document))) as OpenApiDocument;
}

/** A copy, so that a component is not taken for a use of itself. */
function namedSchema([name, schema]: [string, object]): [string, object] {
  return [name, { ...schema }];
}

const NAMES = new Map<unknown, string>(
  Object.entries(COMPONENTS).map(([name, schema]) => [schema, name]),
);

function withReferences(value: unknown): unknown {
  const name = NAMES.get(value);
  if (name !== undefined) return { $ref: `#/components/schemas/${name}` };
  if (Array.isArray(value)) return value.map(withReferences);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, withReferences(member)]),
  );
}

function operation({ id, summary, description, parameters, body, ...route }: DocumentedRoute) {
  return {
    operationId: id,
    summary,
    description,
    ...(route.isForOperators && { security: [{ operator: [] }] }),
    ...(parameters && {
      parameters: parameters.map(({ isRequired = false, ...one }) => ({
        ...one,
        required: isRequired || one.in === 'path',
      })),
    }),
    ...(body && { requestBody: { required: true, content: { 'application/json': body } } }),
    responses: {
      ...Object.fromEntries(
        route.answers.map((answer) => [String(answer.status), answerResponse(answer)]),
      ),
      ...problemResponses(route.problems),
      default: {
        description: 'Any other problem, such as a method that does not fit the path.',
        content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } },
      },
    },
  };
}

function answerResponse({ description, body, headers }: DocumentedAnswer) {
  return {
    description,
    ...(headers && { headers: headerObjects(headers) }),
    ...(body && { content: { [body.mediaType]: { schema: body.schema, example: body.example } } }),
  };
}

/** One response for each status, with all problems that share it. */
function problemResponses(types: readonly ProblemType[]) {
  const byStatus = new Map<number, ProblemType[]>();
  for (const type of types) {
    const { status } = PROBLEMS[type];
    byStatus.set(status, [...(byStatus.get(status) ?? []), type]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, alike]) => [
      String(status),
      {
        description: alike.map((type) => PROBLEMS[type].title).join('. ') + '.',
        ...(alike.some((type) => type in HEADERS) && {
          headers: headerObjects(
            Object.fromEntries(alike.flatMap((type) => Object.entries(HEADERS[type] ?? {}))),
          ),
        }),
        content: { [PROBLEM_MEDIA_TYPE]: problemBody(alike) },
      },
    ]),
  );
}

function problemBody(types: readonly ProblemType[]) {
  const alike = types.map((type) => schemas.PROBLEM_SCHEMAS[type]);
  return {
    schema: alike.length === 1 ? alike[0] : { anyOf: alike },
    examples: Object.fromEntries(types.map((type) => [type, { value: problemExample(type) }])),
  };
}

const RETRY_AFTER = { 'Retry-After': 'seconds after which to ask again' };
const HEADERS: Partial<Record<ProblemType, Readonly<Record<string, string>>>> = {
  'duplicate-request': { Location: 'the order' },
  'request-in-progress': RETRY_AFTER,
  'sale-not-open': RETRY_AFTER,
  'not-accepted': RETRY_AFTER,
  'outcome-unknown': RETRY_AFTER,
  'dependency-unavailable': RETRY_AFTER,
  unauthorized: { 'WWW-Authenticate': 'Bearer' },
};

function headerObjects(headers: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' } },
    ]),
  );
}
