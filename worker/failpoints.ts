import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import type { PaymentProvider } from '../engine/payments/payment-provider';
import type { Call } from '../platform/failpoints';
import type { StockLedger } from '../engine/stock/stock-ledger';

/*
  An activity needs no points of its own: between its start and its first call nothing leaves the process, and neither
  does between its last call and its end. What the native core then tells the server lies behind that last point.
*/

/** The workers' part of the ledger: the rest is for ingest, the gateway and the operators. */
type WorkerLedger = Omit<StockLedger, 'abandon' | 'cancel' | 'findOrder' | 'item'>;

export const LEDGER_CALLS = {
  reserve: 'reserve',
  confirm: 'confirm',
  release: 'release',
  isRefundable: 'may-settle',
  resolveCharge: 'settle',
} as const satisfies Record<keyof WorkerLedger, Call<'worker'>>;

export const PAYMENT_CALLS = {
  charge: 'charge',
  find: 'find',
  refund: 'refund',
} as const satisfies Record<keyof PaymentProvider, Call<'worker'>>;

export const DEAD_LETTER_CALLS = {
  write: 'dead-letter',
} as const satisfies Record<keyof DeadLetterWriter, Call<'worker'>>;
