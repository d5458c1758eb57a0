/** What a route decided, ready to be written. */
export interface HttpResponse {
  readonly status: number;
  /** Without content-length and connection: these are the writer's business. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** The problem's type when the answer is one; metrics count by it. */
  readonly problem?: string;
}

/** A JSON answer. `value` must be serialisable. */
export function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpResponse {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(value),
  };
}
