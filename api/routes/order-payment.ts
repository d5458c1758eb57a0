import { Type, type Static } from '@sinclair/typebox';
import { orderOf, orderStatus } from '../../engine/orders/ledger';
import type { RequestId } from '../../engine/orders/order';
import { orderCharge } from '../../engine/payments/own-charge';
import type { ActOnHint } from '../../engine/payments/payment-hints';
import type { CheckoutProvider, CheckoutResult } from '../../engine/payments/payment-provider';
import { createRecent } from '../../platform/recent';
import { within } from '../../platform/until';
import type { ErrorLog } from '../http/errors';
import type { FinishedOrder, LiveOrder } from './order-lookup';
import { object, text, time } from './route';

/** What the buyer's page needs to pay an order that waits for it. */
export const OrderPayment = object(
  {
    pay_by: time('when the payment is cancelled'),
    url: Type.Optional(text("the simulator's page")),
    client_secret: Type.Optional(text("for Stripe's scripts in the page; a secret of the buyer")),
    publishable_key: Type.Optional(text("for Stripe's scripts in the page")),
  },
  {
    description:
      'only while the order is awaiting-payment. With pay_by alone the provider has no answer now: ask again in a second',
  },
);
export type OrderPaymentBody = Static<typeof OrderPayment>;

/** What the page of a live order needs; undefined while there is nothing to pay. Never rejects. */
export type ReadPayment = (
  requestId: RequestId,
  found: LiveOrder | FinishedOrder,
) => Promise<OrderPaymentBody | undefined>;

/** The provider is asked by every look at an order that waits: pages that poll must not keep it from payments. */
const CHECKOUTS_AT_ONCE = 40;
/** The buyer waits, and asks again. */
const PROVIDER_MS_MAX = 4_000;
/**
 * What was shown stays so until the deadline, in this process's memory only, and the provider is asked again after a minute to
 * one and a half: only a webhook that was lost makes that worth it. Two at once are about ten requests a second at Stripe.
 */
const ASK_AGAIN_MS = 60_000;
const ASKED_AGAIN_AT_ONCE = 2;
const SHOWN_MAX = 20_000;

/**
 * Opens the payment of an order, or reads it, for its owner's eyes: what it returns is in no record, history or log. A payment
 * that was made meanwhile, or that the provider can never take, is told to its run, whatever becomes of the provider's webhook.
 */
export function createReadPayment({
  provider,
  act,
  errors,
  now = Date.now,
}: {
  readonly provider: Pick<CheckoutProvider, 'checkout'>;
  readonly act: ActOnHint;
  readonly errors: ErrorLog;
  readonly now?: () => number;
}): ReadPayment {
  const running = new Map<string, Promise<CheckoutResult>>();
  const shown = createRecent<string, { readonly result: CheckoutResult; askAgainAt: number }>(
    SHOWN_MAX,
  );
  let askedAgain = 0;

  const ask = (requestId: RequestId, { itemId, entry }: LiveOrder) => {
    const charge = orderCharge(orderOf({ itemId, requestId, entry }), entry.generation);
    const { key } = charge;
    const askNow = async () => {
      const result = await provider.checkout(charge);
      shown.set(key, { result, askAgainAt: now() + ASK_AGAIN_MS * (1 + Math.random() / 2) });
      if (result.kind !== 'pending') {
        const kind = result.kind === 'charged' ? 'paid' : 'ended';
        act({ kind, key, requestId, itemId }).catch((error: unknown) => {
          errors.report('the run of an order was not told of its payment', error, { requestId });
        });
      }
      return result;
    };
    const known = shown.get(key);
    if (known) {
      if (known.askAgainAt <= now() && askedAgain < ASKED_AGAIN_AT_ONCE) {
        known.askAgainAt = now() + ASK_AGAIN_MS;
        askedAgain++;
        askNow()
          .catch((error: unknown) => {
            errors.report('a payment could not be looked at again', error, { requestId });
          })
          .finally(() => askedAgain--);
      }
      return Promise.resolve(known.result);
    }
    const same = running.get(key);
    if (same) return same;
    if (running.size >= CHECKOUTS_AT_ONCE) {
      throw new Error('The payment provider is asked for too many payments');
    }
    const asked = askNow().finally(() => running.delete(key));
    running.set(key, asked);
    return asked;
  };

  return async (requestId, found) => {
    if ('archived' in found || orderStatus(found.entry) !== 'awaiting-payment') return undefined;
    const { payBy = 0, cancelledByBuyer } = found.entry;
    const due = { pay_by: new Date(payBy).toISOString() };
    // Its end is under way.
    if (payBy <= now() || cancelledByBuyer) return due;
    try {
      const asked = await within(ask(requestId, found), PROVIDER_MS_MAX, 'the payment provider');
      if (asked.kind !== 'pending') return due;
      const { page } = asked;
      if (page.provider === 'simulator') return { ...due, url: page.url };
      const { clientSecret, publishableKey } = page;
      return {
        ...due,
        client_secret: clientSecret,
        ...(publishableKey !== undefined && { publishable_key: publishableKey }),
      };
    } catch (error) {
      errors.report('a payment could not be opened', error, { requestId });
      return due;
    }
  };
}
