import type { FailureReason } from './order';

/** An order that was accepted and failed, or a record that could not become an order. */
export interface DeadLetter {
  /** One for each failure: `<request_id>:<run id>` for a workflow, `<topic>:<partition>:<offset>` for a record. Readers drop repetitions by it. */
  readonly id: string;
  /** Absent when the record had none that could be read. */
  readonly requestId?: string;
  /** Absent as well for an order that is older than order ids. */
  readonly orderId?: string | undefined;
  readonly itemId?: string;
  readonly reason: FailureReason;
  /** The error in words, for people. */
  readonly error: string;
  /** The generation that failed; 0 when nothing was reserved. */
  readonly generation: number;
  /** Run id of the workflow; absent when there was none. */
  readonly runId?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Where the order was read from. */
  readonly source?: { readonly topic: string; readonly partition: number; readonly offset: string };
  /** The bytes of the original record, unchanged. */
  readonly value: Buffer;
}

/**
 * How a letter was dealt with. `replayed`: its order was started again (a new failure makes a new letter); `sold`: the order
 * was found to be sold since; `discarded`: an operator decided that nothing is to be done.
 */
export const MARK_KINDS = ['replayed', 'sold', 'discarded'] as const;
export type MarkKind = (typeof MARK_KINDS)[number];

/** Marks a dead letter as dealt with. It is appended behind the letter, which stays as it is. */
export interface DeadLetterMark {
  readonly kind: MarkKind;
  readonly letterId: string;
  /** The operator, and the reason. */
  readonly by: string;
  readonly why: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The run that a replay has started; absent when ingest is to start it. */
  readonly runId?: string;
}
