import { Type, type ObjectOptions, type TProperties, type TSchema } from '@sinclair/typebox';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Id } from '../buy/buy-request';
import type { Authenticate, Buyer } from '../buyers/buyer-auth';
import type { ProblemType } from '../http/problems';
import type { HttpResponse } from '../http/response';

/** A route of the gateway. The router and the OpenAPI document are both made from these declarations. */
export interface Route {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** In the notation of OpenAPI: `/orders/{request_id}`. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  readonly parameters?: readonly Parameter[] | undefined;
  readonly body?: { readonly schema: TSchema; readonly example: unknown } | undefined;
  readonly responses: readonly DocumentedResponse[];
  readonly problems: readonly ProblemType[];
  /** Needs the credential of an operator: for GET of any role, else of the role operate. */
  readonly isForOperators?: true;
  /** Needs a buyer's token. */
  readonly isForBuyers?: boolean;
  /**
   * Undefined: nothing is left to write, because the handler writes the response itself or the client has gone.
   * Throws RequestError when a dependency does not answer, and anything else only for bugs.
   */
  readonly handle: (
    context: RouteContext,
  ) => HttpResponse | undefined | Promise<HttpResponse | undefined>;
}

/** The part of Koa's context that handlers use. */
export interface RouteContext {
  /** Decoded path parameters. */
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, unknown>>;
  readonly querystring: string;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** Who sent the request, if buyers have tokens. */
  readonly buyer?: Buyer;
}

export interface Parameter {
  readonly in: 'path' | 'header' | 'query';
  readonly name: string;
  readonly description: string;
  readonly schema: TSchema;
  /** Path parameters are always required. */
  readonly isRequired?: boolean;
  readonly example?: string;
}

export interface DocumentedResponse {
  readonly status: number;
  readonly description: string;
  /** Absent: no body. */
  readonly body?: {
    readonly mediaType: string;
    readonly schema: TSchema;
    readonly example: unknown;
  };
  /** What a client gets instead of the body if it asks for one of these media types. */
  readonly others?: readonly {
    readonly mediaType: string;
    readonly schema: TSchema;
    readonly example: unknown;
  }[];
  /** Header names and their descriptions. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Puts buyers' routes behind their tokens. A request without a valid one is rejected before any work. */
export function behindTokens(routes: readonly Route[], authenticate: Authenticate): Route[] {
  return routes.map((route) => ({
    ...route,
    isForBuyers: true,
    problems: [...new Set([...route.problems, 'unauthenticated', 'not-accepted'] as const)],
    handle: async ({ params, query, querystring, req, res }) => {
      const buyer = await authenticate(req);
      if ('status' in buyer) return buyer;
      return route.handle({ params, query, querystring, req, res, buyer });
    },
  }));
}

/** Documents a JSON response. */
export function jsonResponse(
  status: number,
  description: string,
  { schema, example }: { readonly schema: TSchema; readonly example: unknown },
  headers?: Readonly<Record<string, string>>,
): DocumentedResponse {
  const body = { mediaType: 'application/json', schema, example };
  return { status, description, body, headers };
}

/** Documents a response that is text of the media type. */
export function textResponse(
  description: string,
  mediaType: string,
  example: string,
  headers?: Readonly<Record<string, string>>,
): DocumentedResponse {
  const body = { mediaType, schema: Type.String(), example };
  return { status: 200, description, body, headers };
}

export function pathParameter(
  name: string,
  example: string,
  description: string,
  schema: TSchema = Id,
): Parameter {
  return { in: 'path', name, schema, example, description };
}

/** What routes with an ETag have in common. */
export const IF_NONE_MATCH: Parameter = {
  in: 'header',
  name: 'If-None-Match',
  description: 'the ETag of an earlier response',
  schema: Type.String(),
};
export const CACHE_HEADERS = { ETag: 'identifies this version', 'Cache-Control': 'its lifetime' };
export const NOT_MODIFIED: DocumentedResponse = {
  status: 304,
  description: 'Nothing has changed.',
  headers: CACHE_HEADERS,
};

export const NO_STORE = { 'cache-control': 'no-store' };

/** An object without further fields: a field that the document does not describe fails the test of real responses. */
export const object = <T extends TProperties>(properties: T, options: ObjectOptions = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });
export const oneOf = <T extends string>(values: readonly T[], description: string) =>
  Type.Union(
    values.map((value) => Type.Literal(value)),
    { description },
  );
export const orNull = <T extends TSchema>(schema: T, description: string) =>
  Type.Union([schema, Type.Null()], { description });
export const text = (description: string) => Type.String({ description });
export const time = (description: string) => Type.String({ format: 'date-time', description });
export const units = (description: string) => Type.Integer({ minimum: 0, description });
