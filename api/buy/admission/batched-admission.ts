import type { RejectResult } from '../../../engine/orders/ledger';
import type {
  Admission,
  Attempt,
  Queued,
  RequestOf,
  Undo,
  Verdict,
} from '../../../engine/stock/admission';
import { createBatcher } from '../batch';

/** Half a second longer than Redis commands may take, so that their own fault is the one that gets told. */
const ADMISSION_DEADLINE_MS = 2_500;

/**
 * A rejected buyer may come back at once with another payload under the same id. While the old claim stands, that would be
 * called a reused id; so a rejection waits for its undo, which normally takes a millisecond. It does not wait longer than
 * this: a late rejection of everybody is worse than a rare wrong 422.
 */
const UNDO_WAIT_MS_MAX = 250;

/** The admission door for single requests; each method gathers the requests of a turn or two of the event loop. */
export function createBatchedAdmission({
  admission,
  onBatch,
}: {
  readonly admission: Admission;
  readonly onBatch?: (size: number) => void;
}) {
  return {
    claimAndHold: createBatcher<Attempt, Verdict>({
      run: (attempts) => admission.claimAndHold(attempts),
      // A second turn costs a lone request some µs, and was worth 1.05 of the rate at 64 connections.
      turns: 2,
      deadlineMs: ADMISSION_DEADLINE_MS,
      ...(onBatch && { onBatch }),
    }),
    isKnown: createBatcher<RequestOf, boolean>({
      run: (requests) => admission.areKnown(requests),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    queue: createBatcher<Queued, boolean>({
      run: (orders) => admission.queue(orders),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    reject: createBatcher<RequestOf, RejectResult>({
      run: (requests) => admission.reject(requests),
      deadlineMs: ADMISSION_DEADLINE_MS,
    }),
    undo: createBatcher<Undo, 'undone'>({
      run: (attempts) => admission.undo(attempts).then(() => attempts.map(() => 'undone')),
      deadlineMs: UNDO_WAIT_MS_MAX,
    }),
  };
}
