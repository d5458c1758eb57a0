import type { Operation, Rule } from '../misbehaviour';

export interface SimulatorResponse {
  readonly status: number;
  /** Sent as JSON, unless it is a text of a type that the headers name. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The work of a request. Misbehaviour applies to work with a target. */
export interface Task {
  /** Under a rule that changes what is done, such as a decline. */
  readonly run: (rule?: Rule) => Promise<SimulatorResponse>;
  readonly target?: { readonly operation: Operation; readonly key: string };
}

export function ok(body: unknown): SimulatorResponse {
  return { status: 200, body };
}

/** An error response as in RFC 9457. */
export function problem(status: number, type: string, detail: string): SimulatorResponse {
  return { status, body: { type, title: type.replaceAll('-', ' '), status, detail } };
}

export function undecided(key: string): SimulatorResponse {
  return problem(409, 'undecided', `The buyer or the bank has not decided on ${key} yet.`);
}
