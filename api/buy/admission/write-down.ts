import type { RejectResult } from '../../../engine/orders/ledger';
import type { Purchase } from '../../../engine/orders/order';
import type { RequestOf } from '../../../engine/stock/admission';
import type { FaultLog } from '../../errors/error-log';
import type { Rejection } from './admit';

export interface WriteDownDeps {
  readonly reject: (request: RequestOf) => Promise<RejectResult | Error>;
  readonly faults: FaultLog;
}

/**
 * A gateway that died or was frozen may have appended, or may yet append, a record whose hold was given away. The
 * rejection of a later attempt is true only if nothing comes of that record, so the ledger is told first. What comes back
 * is what the buyer is to be told; undefined: the ledger has not heard of it, and what becomes of the order is open.
 */
export function createWriteDown({ reject, faults }: WriteDownDeps) {
  return async (
    rejection: Rejection,
    { requestId, itemId }: Purchase,
  ): Promise<Rejection | undefined> => {
    if (rejection.kind === 'no-ledger') return undefined;
    const answer = await reject({ requestId, itemId });
    if (answer instanceof Error) {
      faults.report('a rejection was not written down', answer, { requestId });
      return undefined;
    }
    return answer.kind === 'rejected' ? rejection : answer;
  };
}
