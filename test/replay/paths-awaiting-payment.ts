import { orderCharge } from '../../engine/payments/own-charge';
import { PAYMENT_SIGNAL } from '../../engine/orders/contract';
import type { BuyerAction } from '../engine/payments/checkout.contract';
import type { Order } from '../../engine/orders/order';
import { eventually } from '../support/eventually';
import type { OrderHandle, Saga } from '../support/saga';
import { losesItsSale } from './drives';
import type { Path } from './path';

const LONG_MS = 600_000;
const SHORT_MS = 2_000;

/** What happens while an order waits for its buyer, whose payment is open. */
type Meanwhile = (at: {
  readonly saga: Saga;
  readonly order: Order;
  readonly handle: OrderHandle;
  /** Acts as the buyer. */
  readonly pay: (action: BuyerAction) => void;
  /** Lets the run ask the provider. */
  readonly hint: () => Promise<void>;
}) => unknown;

const awaiting =
  (payWithinMs: number, meanwhile: Meanwhile): Path['drive'] =>
  async (saga, requestId) => {
    const order = await saga.aQueuedOrder({ requestId, payWithinMs });
    const handle = await saga.start(order);
    await eventually('it awaits its payment', async () => (await saga.entryOf(order))?.payBy);
    const charge = orderCharge(order, 1);
    await saga.money.provider.checkout(charge);
    await meanwhile({
      saga,
      order,
      handle,
      pay: (action) => {
        saga.money.pay(charge.key, action);
      },
      hint: () => handle.signal(PAYMENT_SIGNAL, charge.key),
    });
    return handle;
  };

const looksOf = async (handle: OrderHandle) =>
  ((await handle.fetchHistory()).events ?? []).filter(
    ({ activityTaskCompletedEventAttributes }) => activityTaskCompletedEventAttributes,
  ).length;

/** Paths of an order that its buyer pays. */
export const AWAITING_PAYMENT_PATHS: Readonly<Record<string, Path>> = {
  'awaiting-payment-and-paid': {
    steps: ['sellAtOnce', 'findPayment', 'confirmSale', 'publishOutcome'],
    outcome: 'confirmed',
    drive: awaiting(LONG_MS, async ({ pay, hint }) => {
      pay('approve');
      await hint();
    }),
  },
  'awaiting-payment-and-paid-after-a-hint-too-early': {
    steps: ['sellAtOnce', 'findPayment', 'findPayment', 'confirmSale', 'publishOutcome'],
    outcome: 'confirmed',
    drive: awaiting(LONG_MS, async ({ handle, pay, hint }) => {
      pay('decline');
      await hint();
      await eventually('it has looked', async () => (await looksOf(handle)) > 0);
      pay('approve');
      await hint();
    }),
  },
  'awaiting-payment-until-its-deadline': {
    steps: ['sellAtOnce', 'cancelPayment', 'releaseStock', 'publishOutcome'],
    outcome: 'cancelled',
    drive: awaiting(SHORT_MS, () => undefined),
  },
  'awaiting-payment-and-paid-at-its-deadline': {
    steps: ['sellAtOnce', 'cancelPayment', 'confirmSale', 'publishOutcome'],
    outcome: 'confirmed',
    drive: awaiting(SHORT_MS, ({ pay }) => {
      pay('approve');
    }),
  },
  'awaiting-payment-and-undecided-at-its-deadline': {
    steps: ['sellAtOnce', 'cancelPayment', 'cancelPayment', 'confirmSale', 'publishOutcome'],
    outcome: 'confirmed',
    drive: awaiting(SHORT_MS, async ({ handle, pay, hint }) => {
      pay('processing');
      await eventually('it was not to be ended', async () => (await looksOf(handle)) > 0);
      pay('approve');
      await hint();
    }),
  },
  'awaiting-payment-and-cancelled': {
    steps: ['sellAtOnce', 'cancelPayment', 'releaseStock', 'publishOutcome'],
    outcome: 'cancelled',
    drive: awaiting(LONG_MS, async ({ saga, order, handle }) => {
      await saga.ledger.cancel(order);
      await handle.cancel();
    }),
  },
  'awaiting-payment-and-ended-at-the-provider': {
    steps: ['sellAtOnce', 'findPayment', 'releaseStock', 'deadLetter', 'publishOutcome'],
    outcome: 'payment-declined',
    drive: awaiting(LONG_MS, async ({ saga, order, hint }) => {
      await saga.money.provider.cancel(orderCharge(order, 1).key);
      await hint();
    }),
  },
  'awaiting-payment-and-paid-too-late': {
    steps: [
      ...(['sellAtOnce', 'findPayment', 'confirmSale', 'releaseStock'] as const),
      ...(['refundPayment', 'deadLetter', 'publishOutcome'] as const),
    ],
    outcome: 'late-payment',
    drive: awaiting(LONG_MS, async ({ saga, order, pay, hint }) => {
      losesItsSale(saga, order);
      pay('approve');
      await hint();
    }),
  },
};
