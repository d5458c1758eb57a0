import type { FailureReason } from './order';

/** An order that was accepted and failed, or a record that could not become an order. */
export interface DeadLetter {
  /** One per failure: `<request_id>:<run id>` for a workflow, `<topic>:<partition>:<offset>` for a record. Readers drop repeats by it. */
  readonly id: string;
  /** Absent when the record had none that could be read. */
  readonly requestId?: string;
  readonly itemId?: string;
  readonly reason: FailureReason;
  /** The fault in words, for people. */
  readonly error: string;
  /** The generation that failed; 0 when nothing was reserved. */
  readonly generation: number;
  /** Run id of the workflow; absent when there was none. */
  readonly runId?: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Where the order was read from. */
  readonly source?: { readonly topic: string; readonly partition: number; readonly offset: string };
  /** The bytes of the original record, untouched. */
  readonly value: Buffer;
}

/**
 * What can be done about a letter: `replayed` started its order again (a new failure makes a new letter), `sold` found
 * the order sold since, `discarded` is an operator's last word.
 */
export const MARK_KINDS = ['replayed', 'sold', 'discarded'] as const;
export type MarkKind = (typeof MARK_KINDS)[number];

/** Says that a dead letter has been dealt with. It is appended behind the letter, whose bytes stay as they are. */
export interface DeadLetterMark {
  readonly kind: MarkKind;
  readonly letterId: string;
  /** The operator, and their reason. */
  readonly by: string;
  readonly why: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The run that a replay has started; absent when ingest is to start it. */
  readonly runId?: string;
}
