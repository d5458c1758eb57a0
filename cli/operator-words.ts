import { RECORDS_READ_MAX } from '../engine/dead-letters/doors/reader';
import type { OperatorFault } from '../engine/dead-letters/operator-error';
import { describeFault, NegativeAnswer, PlainFault } from './user-error';

/** What the shared logic says no with, in the words of this command line: how to go on, and a plain no as exit code 1. */
export function inPlainWords(fault: OperatorFault): PlainFault {
  const { kind, message, cause } = fault;
  switch (kind) {
    case 'invalid':
      return new PlainFault(message, { cause: fault });
    case 'unknown-letter':
      return new NegativeAnswer(`${message} The newest ${RECORDS_READ_MAX} records were read.`);
    case 'dealt-with':
      return new NegativeAnswer(`${message} With --all it is replayed all the same.`);
    case 'several-letters':
      return new NegativeAnswer(message);
    case 'unavailable':
      return new PlainFault(
        `${message} (${describeFault(cause)}): is the stack running? (npm start)`,
        { cause },
      );
  }
}
