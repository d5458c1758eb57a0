import type { Refused } from './replay-plan';

export type ReplayOutcome =
  | 'started'
  | 'would-start'
  | 'appended'
  | 'would-append'
  | 'running'
  | 'sold'
  | 'cancelled'
  | 'failed-again'
  | 'failed-before'
  | 'other-order';

export interface ReplayResult {
  readonly requestId: string;
  readonly letterId: string;
  readonly outcome: ReplayOutcome;
  readonly runId?: string;
}

export interface ReplayReport {
  readonly results: readonly ReplayResult[];
  readonly refused: readonly Refused[];
  /** Orders that were not looked at, since the most that may be started were. */
  readonly left: number;
}

/** `isDone`: whoever has named the order has got what they wanted. */
export const OUTCOMES = {
  started: { says: 'a new run has been started', isDone: true },
  'would-start': { says: 'a new run would be started', isDone: true },
  appended: { says: 'the mended record is among the orders', isDone: true },
  'would-append': { says: 'the mended record would be appended', isDone: true },
  running: { says: 'it is running already: nothing was done', isDone: true },
  sold: { says: 'it has been sold since: nothing was done', isDone: true },
  cancelled: { says: 'it was cancelled since: it is left alone', isDone: false },
  'failed-again': {
    says: 'somebody else tried it just now and it failed: it has a newer letter',
    isDone: false,
  },
  'failed-before': {
    says: 'its id is an order already, which failed: replay that as it is, without a mended record',
    isDone: false,
  },
  'other-order': {
    says: 'its id belongs to another order, for ever: discard it',
    isDone: false,
  },
} as const satisfies Record<ReplayOutcome, { readonly says: string; readonly isDone: boolean }>;

/** A replay as a JSON document shows it. */
export function replayJson({ results, refused, left }: ReplayReport) {
  return {
    orders: [
      ...results.map(({ requestId, letterId, outcome, runId }) => ({
        ...{ request_id: requestId, letter_id: letterId, outcome, run_id: runId ?? null },
        detail: OUTCOMES[outcome].says,
      })),
      ...refused.map(({ letter, outcome, detail }) => ({
        ...{ request_id: letter.requestId ?? null, letter_id: letter.id, outcome, run_id: null },
        detail,
      })),
    ],
    left,
  };
}
