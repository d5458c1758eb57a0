import type { TSchema } from '@sinclair/typebox';
import type { ProblemType } from '../http/problems';

export interface DocumentedAnswer {
  readonly status: number;
  readonly description: string;
  /** Absent: no body. */
  readonly body?: {
    readonly mediaType: string;
    readonly schema: TSchema;
    readonly example: unknown;
  };
  /** Names and what they say. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DocumentedParameter {
  readonly in: 'path' | 'header' | 'query';
  readonly name: string;
  readonly description: string;
  readonly schema: TSchema;
  /** Of the path every one is, without a word. */
  readonly isRequired?: true;
  /** Absent for what the curl had better leave out. */
  readonly example?: string;
}

export interface DocumentedRoute {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** In the notation of OpenAPI. */
  readonly path: string;
  readonly id: string;
  readonly summary: string;
  readonly description: string;
  readonly parameters?: readonly DocumentedParameter[];
  readonly body?: { readonly schema: TSchema; readonly example: unknown };
  readonly answers: readonly DocumentedAnswer[];
  readonly problems: readonly ProblemType[];
  /** Only with the token of an operator. */
  readonly isForOperators?: true;
}
