import type { FailureReason } from '../domain/order';

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
