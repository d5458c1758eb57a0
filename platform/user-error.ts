/**
 * An error that the person at the terminal can mend, such as a taken port or a missing program. The message is one
 * sentence with the remedy and is shown without a stack. The command line exits with `exitCode`: 2, or 1 where the
 * request was valid and the answer is no.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  readonly exitCode: 1 | 2;

  constructor(message: string, options: { cause?: unknown; exitCode?: 1 | 2 } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.exitCode = options.exitCode ?? 2;
  }
}

/**
 * An error and its causes on one line: "not ready within 60 s: connect ECONNREFUSED 127.0.0.1:6379". A UserError's
 * message is complete without them.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof UserError) return error.message;
  // Node tries several addresses of one name and wraps their errors in one without a message.
  if (error.message === '' && error instanceof AggregateError && error.errors.length > 0) {
    return describeError(error.errors[0]);
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const parts = [error.message, error.message.includes(code) ? '' : code];
  const text = parts.filter((part) => part !== '').join(' ') || error.name;
  return error.cause === undefined ? text : `${text}: ${describeError(error.cause)}`;
}

/**
 * A system error's code, such as ENOENT; undefined where there is none. Not by `instanceof`: in a jest test file system
 * errors are of another `Error` class.
 */
export function errorCode(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
