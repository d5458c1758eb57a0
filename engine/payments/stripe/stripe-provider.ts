/*
  Stripe as the payment provider.

  The port must answer for a key at once, also for a key that it has never seen, and must be able to close such a key for
  good. Stripe's search alone is too slow for that: it lags by up to a minute, on a bad day by an hour. So every key has
  one PaymentIntent that is found by the key alone. It is created unconfirmed, at a placeholder price, under the
  idempotency key `<key>:open`. Its parameters are always the same, so the first request creates it and every later
  request gets its id. Then

    charge   sets the price and the payment method, and confirms the intent under `<key>:confirm`: of concurrent charges
             one takes the money and all get the same result. The price needs no idempotency key: Stripe changes none
             after the confirmation, and a charge that finds another price throws
    find     reads the intent: one that was never tried means that the key was never charged
    checkout sets the price under `<key>:checkout` and marks the intent as one that its buyer pays. Only then its client
             secret goes out, with which a page can pay: the placeholder never can be paid. From then on no charge confirms it
    cancel   cancels the intent. Stripe then refuses every confirmation, so a charge or a buyer still on the way fails
    refund   cancels the intent, too. If it has succeeded, the money is refunded under `<intent>:refund`

  After a confirmation that failed, the intent is read again; the error alone does not tell the outcome. Stripe clears the
  error of a declined card when the intent is updated, as a concurrent charge does; the failed charge of the intent stays,
  and so does the answer under `<key>:confirm`. A charge that Stripe cannot make as the order has it (no such payment
  method, an amount below its minimum) closes the intent, and is declined. A fault of the account declines nothing.

  Limits:
  - Stripe forgets an idempotency key after 24 hours at the earliest, and then creates a second intent for the key. By
    then search knows the first one (its metadata has the key), so an untouched intent of a key that may be older than
    22 hours is believed only after a search for older ones. The two windows overlap by 21 hours.
  - Stripe repeats a response of 500 to the same idempotency key for those 24 hours, too. If it hit the creation, the key
    can neither be charged nor closed until then, which is safe. If it hit the confirmation, the charge stays unknown and
    its refund decides it at once. If it hit the price of a checkout, the buyer cannot pay, and the order ends at its deadline.
  - A charge is three requests, and a fourth, search, for an old key; a checkout or a cancel is two or three. Search has the
    lowest rate limit, 20 a second.
  - A refund that Stripe reports as failed throws until an operator has looked at it. Once Stripe has forgotten its idempotency
    key, it is tried again: once a day.
  - Stripe repeats a refusal of a refund to the same idempotency key, too, as while the account's balance is too low: the refund
    is made up to 24 hours after the cause is gone.
  - A look-up of a key that was never charged leaves an incomplete intent in the dashboard.
  - The buyer is absent: a card that asks for authentication is declined (authentication_required).
*/
import Stripe from 'stripe';
import type { BuyerPayment } from '../../orders/order';
import type {
  AfterSaleProvider,
  Charge,
  ChargeResult,
  CheckoutProvider,
  CheckoutResult,
  FoundCharge,
  PaymentEvents,
  PaymentProvider,
} from '../payment-provider';
import { toStripeAmount } from './stripe-amounts';
import { connectStripe, isReplayed, wasAnswered, type StripeConnection } from './stripe-client';
import {
  CHECKOUT,
  foundOf,
  intentIdsOf,
  intentOf,
  isUntouched,
  readIntent,
  resultOf,
} from './stripe-intents';
import { createStripeEvents } from './stripe-events';
import { createStripeReturns } from './stripe-returns';

export interface StripeOptions extends StripeConnection {
  /** The payment method that the buyer has saved at Stripe; undefined where there is none. */
  readonly paymentOf: (charge: Charge) => Promise<BuyerPayment | undefined>;
  /** What a buyer's page needs besides the client secret; the shop's page may have its own. */
  readonly publishableKey?: string | undefined;
  /** With which Stripe signs webhooks: several while one is replaced. */
  readonly webhookSecrets?: readonly string[];
}

type Declined = Extract<ChargeResult, { readonly kind: 'declined' }>;

/**
 * Charges saved payment methods and lets buyers pay, through Stripe's PaymentIntents. Keys have up to 240 characters. Every
 * method throws, with the cause, when Stripe gave no definite answer.
 */
export function createStripePaymentProvider(
  options: StripeOptions,
): PaymentProvider & CheckoutProvider & AfterSaleProvider & PaymentEvents {
  const stripe = connectStripe(options);
  const returns = createStripeReturns(stripe);
  const live = options.secretKey.includes('_live_');
  const events = createStripeEvents(stripe, { live, webhookSecrets: options.webhookSecrets ?? [] });

  const charge = async (wanted: Charge): Promise<ChargeResult> => {
    const intent = await intentOf(stripe, wanted.key, wanted.keySince);
    const tried = isUntouched(intent) ? await confirm(stripe, intent, wanted, options) : intent;
    if ('kind' in tried) return tried;
    checkSameCharge(tried, wanted);
    const result = resultOf(tried);
    if (result.kind === 'pending') throw new Error(`${tried.id} is its buyer's to pay`);
    return result;
  };

  const checkout = async (wanted: Charge): Promise<CheckoutResult> => {
    const intent = await intentOf(stripe, wanted.key, wanted.keySince);
    const opened = isUntouched(intent) ? await price(stripe, intent, wanted) : intent;
    if ('kind' in opened) return opened;
    // Before anything is shown: a page pays whatever price the intent has.
    checkSameCharge(opened, wanted);
    const found = foundOf(opened);
    if (found.kind !== 'pending') return found;
    const { id, client_secret: clientSecret } = opened;
    if (clientSecret === null) throw new Error(`Stripe shows no client secret of ${id}`);
    const { publishableKey } = options;
    const ofTheShop = publishableKey !== undefined && { publishableKey };
    return { kind: 'pending', page: { provider: 'stripe', clientSecret, ...ofTheShop } };
  };

  const cancel = async (key: string, keySince?: number): Promise<FoundCharge> => {
    let found: FoundCharge = { kind: 'declined', code: 'cancelled' };
    for (const id of await intentIdsOf(stripe, key, keySince)) {
      const ended = await endIntent(stripe, id);
      if (ended.kind === 'charged' || found.kind === 'declined') found = ended;
    }
    return found;
  };

  const find = async (key: string, keySince?: number): Promise<FoundCharge | undefined> => {
    const intent = await intentOf(stripe, key, keySince);
    return isUntouched(intent) ? undefined : foundOf(intent);
  };

  const refund = async (key: string, keySince?: number): Promise<'refunded' | 'nothing'> => {
    let result: 'refunded' | 'nothing' = 'nothing';
    for (const id of await intentIdsOf(stripe, key, keySince)) {
      if ((await emptyIntent(stripe, id)) === 'refunded') result = 'refunded';
    }
    return result;
  };

  return {
    charge: (wanted) => withContext(`charge ${wanted.key}`, charge(wanted)),
    checkout: (wanted) => withContext(`checkout ${wanted.key}`, checkout(wanted)),
    cancel: (key, keySince) => withContext(`cancel ${key}`, cancel(key, keySince)),
    find: (key, keySince) => withContext(`find ${key}`, find(key, keySince)),
    refund: (key, keySince) => withContext(`refund ${key}`, refund(key, keySince)),
    refundSale: (wanted) =>
      withContext(`refund ${wanted.refundKey} of ${wanted.key}`, returns.refundSale(wanted)),
    returns: (key, ...known) => withContext(`returns ${key}`, returns.returns(key, ...known)),
    ...events,
  };
}

/** Takes the money, once, and returns the intent as it is afterwards, or why it cannot be charged. */
async function confirm(
  stripe: Stripe,
  { id }: Stripe.PaymentIntent,
  charge: Charge,
  { paymentOf }: Pick<StripeOptions, 'paymentOf'>,
): Promise<Stripe.PaymentIntent | Declined> {
  const { key, currency } = charge;
  const amount = toStripeAmount(charge.amountMinor, currency);
  if (amount === undefined) return close(stripe, id, 'invalid_amount');
  const payment = await paymentOf(charge);
  if (payment === undefined) return close(stripe, id, 'no_payment_method');
  const { method, customer } = payment;
  let isUpdating = true;
  try {
    await stripe.paymentIntents.update(id, {
      amount,
      currency: currency.toLowerCase(),
      payment_method: method,
      ...(customer !== undefined && { customer }),
      metadata: idsOf(charge),
    });
    isUpdating = false;
    // Always the same parameters: the first confirmation counts, whatever another one has set before it.
    return await stripe.paymentIntents.confirm(
      id,
      { off_session: true, expand: ['latest_charge'] },
      { idempotencyKey: `${key}:confirm` },
    );
  } catch (error) {
    // The card was declined, the intent was cancelled meanwhile, or it has another price: the intent tells which.
    if (!wasAnswered(error)) throw error;
    const intent = await readIntent(stripe, id);
    if (!isUntouched(intent)) return intent;
    const code = refusalOf(error, isUpdating);
    if (code === undefined) throw error;
    return close(stripe, id, code);
  }
}

/**
 * Gives the intent of a checkout its price, once: a second checkout gets the same answer, and one of another price an error.
 * Returns the intent as it is afterwards, or why it cannot be paid.
 */
async function price(
  stripe: Stripe,
  { id }: Stripe.PaymentIntent,
  charge: Charge,
): Promise<Stripe.PaymentIntent | Declined> {
  const amount = toStripeAmount(charge.amountMinor, charge.currency);
  if (amount === undefined) return close(stripe, id, 'invalid_amount');
  try {
    const priced = await stripe.paymentIntents.update(
      id,
      {
        amount,
        currency: charge.currency.toLowerCase(),
        metadata: { ...idsOf(charge), ...CHECKOUT },
        expand: ['latest_charge'],
      },
      { idempotencyKey: `${charge.key}:checkout` },
    );
    return isReplayed(priced) ? await readIntent(stripe, id) : priced;
  } catch (error) {
    // It was priced, charged or cancelled meanwhile: the intent tells which.
    if (!wasAnswered(error)) throw error;
    const intent = await readIntent(stripe, id);
    if (!isUntouched(intent)) return intent;
    const code = refusalOf(error, false);
    if (code === undefined) throw error;
    return close(stripe, id, code);
  }
}

function idsOf({ context }: Charge) {
  return { request_id: context.requestId, item_id: context.itemId, user_id: context.userId };
}

/** Closes an intent that cannot be confirmed. Another charge may have confirmed it in this moment. */
async function close(
  stripe: Stripe,
  id: string,
  code: string,
): Promise<Stripe.PaymentIntent | Declined> {
  try {
    await stripe.paymentIntents.cancel(id);
    return { kind: 'declined', code };
  } catch (error) {
    if (!wasAnswered(error)) throw error;
    return readIntent(stripe, id);
  }
}

/** The parameters that come from the order. */
const OF_THE_ORDER = new Set(['amount', 'currency', 'customer', 'payment_method']);

/** Refusals that name a payment method and yet pass, or are the account's. */
const NOT_THE_ORDERS = new Set([
  'payment_method_not_available',
  'payment_method_provider_timeout',
  'payment_method_unactivated',
]);

/**
 * Why Stripe will never make a charge as the order has it. Undefined where it may: the fault passes, is the account's, or is
 * not known, and a sale must not decline all of its orders for that.
 */
function refusalOf(error: unknown, setsMethod: boolean): string | undefined {
  // Under this key Stripe repeats the decline.
  if (error instanceof Stripe.errors.StripeCardError) return error.decline_code || error.code;
  if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) return undefined;
  const { param, code } = error;
  // A payment method that was detached from its customer is refused by the update with neither.
  if (param === undefined && code === undefined && setsMethod) return 'invalid_request';
  if (param === undefined || !OF_THE_ORDER.has(param)) return undefined;
  return code !== undefined && NOT_THE_ORDERS.has(code) ? undefined : (code ?? 'invalid_request');
}

/** Cancels an intent whose buyer has not paid. A payment that is under way or made stays as it is. */
async function endIntent(stripe: Stripe, id: string): Promise<FoundCharge> {
  try {
    return foundOf(await stripe.paymentIntents.cancel(id, { expand: ['latest_charge'] }));
  } catch (error) {
    if (!wasAnswered(error)) throw error;
    const intent = await readIntent(stripe, id);
    if (intent.status === 'processing') return { kind: 'pending' };
    if (intent.status !== 'succeeded' && intent.status !== 'canceled') throw error;
    return foundOf(intent);
  }
}

/** Makes sure that the intent holds no money and never will. */
async function emptyIntent(stripe: Stripe, id: string): Promise<'refunded' | 'nothing'> {
  const ended = await endIntent(stripe, id);
  if (ended.kind === 'declined') return 'nothing';
  if (ended.kind === 'pending') throw new Error(`Stripe has not decided on ${id}`);
  const made = await stripe.refunds.create(
    { payment_intent: id },
    { idempotencyKey: `${id}:refund` },
  );
  const { status } = isReplayed(made) ? await stripe.refunds.retrieve(made.id) : made;
  if (status === 'succeeded' || status === 'pending') return 'refunded';
  throw new Error(`The refund of ${id} is ${String(status)}: an operator must look at it`);
}

async function withContext<T>(what: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new Error(`Stripe gave no definite answer to ${what}`, { cause: error });
  }
}

/** Throws when the intent was tried for another amount or currency: the key then belongs to another charge. */
function checkSameCharge(intent: Stripe.PaymentIntent, charge: Charge): void {
  const { amount, currency, status } = intent;
  // One that was closed before any try still has its placeholder price.
  if (status === 'canceled' && intent.metadata['request_id'] === undefined) return;
  const wanted = toStripeAmount(charge.amountMinor, charge.currency);
  if (amount === wanted && currency === charge.currency.toLowerCase()) return;
  throw new Error(`${charge.key} names a charge of ${amount} ${currency} at Stripe already`);
}
