import type { RequestId } from '../../engine/orders/order';

/**
 * What a handler throws when it knows more about a failure than the failure itself says: `not-accepted` when a
 * dependency gave no answer, `outcome-unknown` when what was asked for may have been done all the same, `internal` for
 * a bug; and whose request it was, if that had been read.
 */
export class RequestFault extends Error {
  constructor(
    message: string,
    options: {
      readonly problem: FaultProblem;
      readonly requestId?: RequestId | undefined;
      readonly cause: unknown;
    },
  ) {
    super(message, { cause: options.cause });
    this.name = 'RequestFault';
    this.problem = options.problem;
    this.requestId = options.requestId;
  }

  readonly problem: FaultProblem;
  readonly requestId: RequestId | undefined;
}

type FaultProblem = 'not-accepted' | 'outcome-unknown' | 'internal';

/** The result of a read from Redis; its failure becomes a RequestFault that the edge answers with 503. */
export function readFromRedis<T>(read: Promise<T>, requestId?: RequestId): Promise<T> {
  return read.catch((cause: unknown) => {
    throw new RequestFault('Redis gave no answer', { problem: 'not-accepted', requestId, cause });
  });
}
