import type { RequestListener, ServerResponse } from 'node:http';
import type { Producer } from 'kafkajs';
import type { Call, Failpoints } from '../platform/failpoints';
import type { Admission } from '../engine/stock/admission';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { HintedRuns } from '../engine/payments/payment-hints';
import type { CheckoutProvider } from '../engine/payments/payment-provider';
import type { RefundStarter } from '../engine/payments/start-refund';
import type { OrderPublisher } from './buy/buy';

/** Every call of the gateway that changes something in another system. Reads need no failpoint. */
export const ADMISSION_CALLS = {
  claimAndHold: 'hold',
  undo: 'undo',
  reject: 'reject',
  queue: 'queue',
} as const satisfies Record<keyof Omit<Admission, 'areKnown'>, Call<'api'>>;

export const LEDGER_CALLS: Record<keyof Pick<StockLedger, 'cancel'>, Call<'api'>> = {
  cancel: 'cancel',
};

export const CANCEL_RUN_CALL: Call<'api'> = 'cancel-run';

/** `after`: the record is acknowledged. */
export const PUBLISHER_CALLS: Record<keyof OrderPublisher, Call<'api'>> = { append: 'append' };

/** The same for a cancellation. */
export const CANCELLATIONS_CALLS: typeof PUBLISHER_CALLS = { append: 'append-cancellation' };

/** The batch on its way to the broker: a dropped reply here makes the safe producer write it twice. */
export const PRODUCER_CALLS: Record<keyof Pick<Producer, 'send'>, Call<'api'>> = { send: 'send' };

/** For a page on which a buyer pays. */
export const PROVIDER_CALLS: Record<keyof Pick<CheckoutProvider, 'checkout'>, Call<'api'>> = {
  checkout: 'checkout',
};

/** What a webhook leads to. */
export const HINTED_RUNS_CALLS: Record<keyof Omit<HintedRuns, 'hasRun'>, Call<'api'>> = {
  ask: 'ask-run',
  giveBack: 'start-late-refund',
};

export const REFUND_CALLS: Record<keyof RefundStarter, Call<'api'>> = {
  noteReturns: 'start-returns',
  refund: 'start-refund',
};

export const ANSWER_CALL: Call<'api'> = 'answer';

/** The listener with failpoints before a 202 is written and after it has been sent. */
export function aroundAcceptances(
  failpoints: Failpoints<'api'>,
  listener: RequestListener,
): RequestListener {
  if (!failpoints.isSet) return listener;
  return (request, response) => {
    const writeHead = response.writeHead.bind(response) as (...args: unknown[]) => ServerResponse;
    response.writeHead = (status: number, ...rest: unknown[]) => {
      if (status === 202) {
        failpoints.pass(ANSWER_CALL, 'before');
        response.once('finish', () => {
          failpoints.pass(ANSWER_CALL, 'after');
        });
      }
      return writeHead(status, ...rest);
    };
    listener(request, response);
  };
}
