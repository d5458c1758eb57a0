import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import type { OutcomePublisher, ReturnPublisher } from '../engine/kafka/outcome-publisher';
import type { HintedRuns } from '../engine/payments/payment-hints';
import type {
  AfterSaleProvider,
  CheckoutProvider,
  PaymentEvents,
  PaymentProvider,
} from '../engine/payments/payment-provider';
import type { RefundStarter } from '../engine/payments/start-refund';
import type { AfterSaleLedger } from '../engine/stock/after-sale';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { Call } from '../platform/failpoints';

/** Ingest, the gateway and operators use the other methods. */
type WorkerLedger = Omit<
  StockLedger,
  'abandon' | 'awaitsRun' | 'cancel' | 'findOrder' | 'hasLeft' | 'item'
>;

/** Gateways open payments and read webhooks. */
type WorkerProvider = PaymentProvider &
  AfterSaleProvider &
  Pick<CheckoutProvider, 'cancel'> &
  Pick<PaymentEvents, 'listEvents'>;

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
    cancel: 'cancel-payment',
    listEvents: 'list-events',
    refundSale: 'refund-sale',
    returns: 'returns',
  } satisfies Record<keyof WorkerProvider, Call<'worker'>>,
  runs: {
    ask: 'ask-run',
    giveBack: 'start-late-refund',
  } satisfies Record<keyof Omit<HintedRuns, 'hasRun'>, Call<'worker'>>,
  refunds: {
    noteReturns: 'start-returns',
  } satisfies Record<keyof Omit<RefundStarter, 'refund'>, Call<'worker'>>,
  afterSale: {
    noteReturns: 'note-returns',
    restockSale: 'restock',
  } satisfies Record<keyof AfterSaleLedger, Call<'worker'>>,
  deadLetters: {
    write: 'dead-letter',
  } satisfies Record<keyof DeadLetterWriter, Call<'worker'>>,
  outcomes: {
    publish: 'publish',
  } satisfies Record<keyof OutcomePublisher, Call<'worker'>>,
  returns: {
    publishReturn: 'publish-return',
  } satisfies Record<keyof ReturnPublisher, Call<'worker'>>,
} as const;
