import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import type { Call } from '../platform/failpoints';
import type { OrderStarter } from './order-starter';
import type { StartOrdersDeps } from './start-orders';

export const STARTER_CALLS = {
  start: 'start',
  countOpen: 'count',
} as const satisfies Record<keyof OrderStarter, Call<'ingest'>>;

export const DEAD_LETTER_CALLS = {
  write: 'dead-letter',
} as const satisfies Record<keyof DeadLetterWriter, Call<'ingest'>>;

export const LEDGER_CALLS = {
  abandon: 'give-back',
} as const satisfies Record<keyof StartOrdersDeps['ledger'], Call<'ingest'>>;

export const COMMIT_CALL: Call<'ingest'> = 'commit';
