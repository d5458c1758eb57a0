import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import type { OutcomePublisher } from '../engine/kafka/outcome-publisher';
import type { PaymentProvider } from '../engine/payments/payment-provider';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { Call } from '../platform/failpoints';

/** Ingest, the gateway and operators use the other methods. */
type WorkerLedger = Omit<
  StockLedger,
  'abandon' | 'awaitsRun' | 'cancel' | 'findOrder' | 'hasLeft' | 'item'
>;

/**
 * The failpoints of the worker, by client and method. An activity needs none of its own: between its start and its first
 * call nothing leaves the process, nor between its last call and its end. What the SDK then sends to the server comes after
 * that last point.
 */
export const FAILPOINTS = {
  ledger: {
    reserve: 'reserve',
    confirm: 'confirm',
    release: 'release',
    isRefundable: 'may-settle',
    resolveCharge: 'settle',
  } satisfies Record<keyof WorkerLedger, Call<'worker'>>,
  provider: {
    charge: 'charge',
    find: 'find',
    refund: 'refund',
  } satisfies Record<keyof PaymentProvider, Call<'worker'>>,
  deadLetters: {
    write: 'dead-letter',
  } satisfies Record<keyof DeadLetterWriter, Call<'worker'>>,
  outcomes: {
    publish: 'publish',
  } satisfies Record<keyof OutcomePublisher, Call<'worker'>>,
} as const;
