/** What an audit can find. These words stand in its answers, in the metrics and in the log. */
export const DIFFERENCE_KINDS = [
  'ledger-lost',
  'ledger-unregistered',
  'stock-unreadable',
  'entry-unreadable',
  'entry-missing',
  'counts',
  'hold-expired',
  'record-lost',
  'workflow-over',
  'workflow-of-another-order',
  'outcome',
  'charge-missing',
  'charge-amount',
  'charge-id',
  'charge-left',
] as const;
export type DifferenceKind = (typeof DIFFERENCE_KINDS)[number];

/** How a difference with one right answer is mended. */
export type Mend =
  'register' | 'recount' | 'reclaim' | 'append-record' | 'confirm' | 'give-up' | 'start-again';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly requestId?: string;
  /** In words: what is there, and what should be. */
  readonly there: string;
  readonly should: string;
  /** Absent: more than one answer could be right, so a person has to decide. */
  readonly mend?: Mend;
}
