/**
 * A fault that the person at the terminal can mend. Its message is one plain sentence with the remedy; it is shown
 * as it is and ends the command with its exit code.
 */
export class PlainFault extends Error {
  override readonly name: string = 'PlainFault';
  readonly exitCode: 1 | 2 = 2;
}

/** A plain "no" instead of an answer: nobody did anything wrong, but what was asked for is not to be had. Exit code 1. */
export class NegativeAnswer extends PlainFault {
  override readonly name = 'NegativeAnswer';
  override readonly exitCode = 1;
}

/** A fault in one line: message and code of the error, or of what it wraps when it says nothing itself. */
export function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const own = [error.message.split('\n')[0], error.message.includes(code) ? '' : code];
  const text = own.filter(Boolean).join(' ');
  if (text !== '') return text;
  // Node tries several addresses of one name and wraps their faults in an error without a message.
  if (error instanceof AggregateError && error.errors.length > 0) {
    return describeFault(error.errors[0]);
  }
  return error.name;
}
