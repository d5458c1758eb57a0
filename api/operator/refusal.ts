import type { OperatorError } from '../../engine/dead-letters/operator';
import type { HttpResponse } from '../http/response';
import { problem } from '../http/problems';

/** Ends the handling of an operator's request with an answer that has been decided already. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly answer: HttpResponse;

  constructor(answer: HttpResponse) {
    super('refused');
    this.answer = answer;
  }
}

/** A fault of one field of a request; `path` is a JSON pointer, empty for the whole body. */
export interface FieldFault {
  readonly path: string;
  readonly message: string;
}

export function invalid(...errors: readonly FieldFault[]): Refusal {
  return new Refusal(problem('invalid-request', { members: { errors } }));
}

/** What the shared logic says no with, as a problem; its sentence is the detail. */
export function operatorErrorProblem({ kind, message }: OperatorError): HttpResponse {
  switch (kind) {
    case 'invalid':
      return problem('invalid-request', { detail: message });
    case 'unknown-letter':
      return problem('unknown-dead-letter', { detail: message });
    case 'dealt-with':
      return problem('dealt-with', { detail: `${message} Send \`all: true\` all the same.` });
    case 'several-letters':
      return problem('several-dead-letters', { detail: message });
    case 'unavailable':
      return problem('dependency-unavailable');
  }
}
