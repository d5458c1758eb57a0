import { RECORDS_READ_MAX } from '../engine/dead-letters/dead-letter-log';
import type { OperatorError } from '../engine/dead-letters/operator';
import { UserError, describeError } from '../platform/user-error';

/** What the shared logic says no with, in the words of this command line: how to go on, and a plain no as exit code 1. */
export function inPlainWords(fault: OperatorError): UserError {
  const { kind, message, cause } = fault;
  switch (kind) {
    case 'invalid':
      return new UserError(message, { cause: fault });
    case 'unknown-letter':
      return new UserError(`${message} The newest ${RECORDS_READ_MAX} records were read.`, {
        exitCode: 1,
      });
    case 'dealt-with':
      return new UserError(`${message} With --all it is replayed all the same.`, { exitCode: 1 });
    case 'several-letters':
      return new UserError(message, { exitCode: 1 });
    case 'unavailable':
      return new UserError(
        `${message} (${describeError(cause)}): is the stack running? (npm start)`,
        { cause },
      );
  }
}
