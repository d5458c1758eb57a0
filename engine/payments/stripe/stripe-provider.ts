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
    refund   cancels the intent. Stripe then refuses every confirmation, so a charge still on its way fails. If the
             intent has succeeded, the money is refunded under `<intent>:refund`

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
    its refund decides it at once.
  - A charge is three requests, and a fourth, search, for an old key. Search has the lowest rate limit, 20 a second; a refund
    always needs it.
  - A look-up of a key that was never charged leaves an incomplete intent in the dashboard.
  - The buyer is absent: a card that asks for authentication is declined (authentication_required).
*/
import Stripe from 'stripe';
import type { BuyerPayment } from '../../orders/order';
import type { Charge, ChargeResult, FoundCharge, PaymentProvider } from '../payment-provider';
import { fromStripeAmount, toStripeAmount } from './stripe-amounts';

/** The version of the API by which requests and answers are read, whatever the account's own is. */
const API_VERSION = '2026-10-28.endive';

/**
 * The price of an intent before its charge is known: any that Stripe accepts, but always the same, because Stripe compares
 * the parameters of requests with one idempotency key.
 */
const PLACEHOLDER = { amount: 100, currency: 'usd' } as const;

export interface StripeOptions {
  readonly secretKey: string;
  /** The time limit of one request, in ms. A charge makes three or four, and one more after a failure. */
  readonly timeoutMs?: number;
  /** The payment method that the buyer has saved at Stripe; undefined where there is none. */
  readonly paymentOf: (charge: Charge) => Promise<BuyerPayment | undefined>;
  /** Base URL of the API, for tests; Stripe's own by default. */
  readonly apiUrl?: string;
}

/** Several requests of a charge fit into the 10 s of an activity attempt. */
const TIMEOUT_MS = 3_000;

/** Stripe knows an idempotency key for 24 hours, and the clock by which a key is dated may be off by an hour. */
const KEY_KNOWN_MS = 22 * 3_600_000;

/**
 * Charges saved payment methods through Stripe's PaymentIntents. Keys have up to 240 characters. Every method throws, with the
 * cause, when Stripe gave no definite answer.
 */
export function createStripePaymentProvider(options: StripeOptions): PaymentProvider {
  const stripe = connect(options);

  /** The intent with which the key was tried, or an untouched one. */
  const intentOf = async (key: string, since = 0): Promise<Stripe.PaymentIntent> => {
    const intent = await openIntent(stripe, key);
    if (!isUntouched(intent) || Math.abs(Date.now() - since) < KEY_KNOWN_MS) return intent;
    const older = await olderIntents(stripe, intent, key);
    return older.find((one) => !isUntouched(one)) ?? intent;
  };

  const charge = async (wanted: Charge): Promise<ChargeResult> => {
    const intent = await intentOf(wanted.key, wanted.keySince);
    const tried = isUntouched(intent) ? await confirm(stripe, intent, wanted, options) : intent;
    if ('kind' in tried) return tried;
    checkSameCharge(tried, wanted);
    return resultOf(tried);
  };

  const find = async (key: string, keySince?: number): Promise<FoundCharge | undefined> => {
    const intent = await intentOf(key, keySince);
    if (isUntouched(intent)) return undefined;
    const result = resultOf(intent);
    if (result.kind === 'declined') return result;
    const currency = intent.currency.toUpperCase();
    return { ...result, amountMinor: fromStripeAmount(intent.amount, currency), currency };
  };

  const refund = async (key: string): Promise<'refunded' | 'nothing'> => {
    const intent = await openIntent(stripe, key);
    let result: 'refunded' | 'nothing' = 'nothing';
    for (const one of [intent, ...(await olderIntents(stripe, intent, key))]) {
      if ((await closeIntent(stripe, one)) === 'refunded') result = 'refunded';
    }
    return result;
  };

  return {
    charge: (wanted) => withContext(`charge ${wanted.key}`, charge(wanted)),
    find: (key, keySince) => withContext(`find ${key}`, find(key, keySince)),
    refund: (key) => withContext(`refund ${key}`, refund(key)),
  };
}

function connect({ secretKey, timeoutMs = TIMEOUT_MS, apiUrl }: StripeOptions): Stripe {
  // No retries here: the caller retries by its own policy, and two policies multiply.
  const config = {
    apiVersion: API_VERSION,
    timeout: timeoutMs,
    maxNetworkRetries: 0,
    telemetry: false,
  } as const;
  if (apiUrl === undefined) return new Stripe(secretKey, config);
  const { protocol, hostname: host, port } = new URL(apiUrl);
  return new Stripe(secretKey, {
    ...config,
    host,
    port,
    protocol: protocol === 'http:' ? 'http' : 'https',
  });
}

/** The key's intent as it is now; the first request creates it. */
async function openIntent(stripe: Stripe, key: string): Promise<Stripe.PaymentIntent> {
  const opened = await stripe.paymentIntents.create(
    { ...PLACEHOLDER, allowed_payment_method_types: ['card'], metadata: { payment_key: key } },
    { idempotencyKey: `${key}:open` },
  );
  // A replayed response shows the intent as it was when it was created.
  const replayed = opened.lastResponse.headers['idempotent-replayed'] === 'true';
  return replayed ? readIntent(stripe, opened.id) : opened;
}

function readIntent(stripe: Stripe, id: string): Promise<Stripe.PaymentIntent> {
  return stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });
}

/** Other intents of the key, from before Stripe forgot its idempotency key. */
async function olderIntents(
  stripe: Stripe,
  { id: newest }: Stripe.PaymentIntent,
  key: string,
): Promise<Stripe.PaymentIntent[]> {
  const quoted = key.replace(/['\\]/g, '\\$&');
  const found = await stripe.paymentIntents.search({
    query: `metadata['payment_key']:'${quoted}'`,
    limit: 100,
  });
  // Search ignores case, and shows each intent as it was when it was indexed.
  const older = found.data.filter(
    ({ id, metadata }) => id !== newest && metadata['payment_key'] === key,
  );
  return Promise.all(older.map(({ id }) => readIntent(stripe, id)));
}

/** Takes the money, once, and returns the intent as it is afterwards, or why it cannot be charged. */
async function confirm(
  stripe: Stripe,
  { id }: Stripe.PaymentIntent,
  charge: Charge,
  { paymentOf }: Pick<StripeOptions, 'paymentOf'>,
): Promise<Stripe.PaymentIntent | ChargeResult> {
  const { key, currency, context } = charge;
  const amount = toStripeAmount(charge.amountMinor, currency);
  if (amount === undefined) return close(stripe, id, 'invalid_amount');
  const payment = await paymentOf(charge);
  if (payment === undefined) return close(stripe, id, 'no_payment_method');
  const { method, customer } = payment;
  let isConfirming = false;
  try {
    await stripe.paymentIntents.update(id, {
      amount,
      currency: currency.toLowerCase(),
      payment_method: method,
      ...(customer !== undefined && { customer }),
      metadata: {
        request_id: context.requestId,
        item_id: context.itemId,
        user_id: context.userId,
      },
    });
    isConfirming = true;
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
    const code = refusalOf(error, isConfirming);
    if (code === undefined) throw error;
    return close(stripe, id, code);
  }
}

/** Closes an intent that cannot be confirmed. Another charge may have confirmed it in this moment. */
async function close(
  stripe: Stripe,
  id: string,
  code: string,
): Promise<Stripe.PaymentIntent | ChargeResult> {
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
function refusalOf(error: unknown, isConfirming: boolean): string | undefined {
  // Under this key Stripe repeats the decline.
  if (error instanceof Stripe.errors.StripeCardError) return error.decline_code || error.code;
  if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) return undefined;
  const { param, code } = error;
  // A payment method that was detached from its customer is refused by the update with neither.
  if (param === undefined && code === undefined && !isConfirming) return 'invalid_request';
  if (param === undefined || !OF_THE_ORDER.has(param)) return undefined;
  return code !== undefined && NOT_THE_ORDERS.has(code) ? undefined : (code ?? 'invalid_request');
}

/** Makes sure that the intent holds no money and never will. */
async function closeIntent(
  stripe: Stripe,
  { id }: Stripe.PaymentIntent,
): Promise<'refunded' | 'nothing'> {
  try {
    await stripe.paymentIntents.cancel(id);
    return 'nothing';
  } catch (error) {
    if (!wasAnswered(error)) throw error;
    const intent = await readIntent(stripe, id);
    if (intent.status === 'canceled') return 'nothing';
    if (intent.status !== 'succeeded') throw error;
    if (isRefunded(intent)) return 'nothing';
  }
  const { status } = await stripe.refunds.create(
    { payment_intent: id },
    { idempotencyKey: `${id}:refund` },
  );
  if (status === 'succeeded' || status === 'pending') return 'refunded';
  throw new Error(`The refund of ${id} is ${String(status)}: an operator must look at it`);
}

/** Whether Stripe received the request and refused it. Otherwise its outcome is unknown. */
function wasAnswered(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeError && error.statusCode !== undefined;
}

async function withContext<T>(what: string, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw new Error(`Stripe gave no definite answer to ${what}`, { cause: error });
  }
}

/** Whether no charge was tried with the intent and none is forbidden yet. */
function isUntouched({ status, last_payment_error, latest_charge }: Stripe.PaymentIntent): boolean {
  const open = status === 'requires_payment_method' || status === 'requires_confirmation';
  return open && last_payment_error === null && latest_charge === null;
}

/**
 * The result that a tried intent, with its latest charge expanded, means for its key. Throws while it is undecided: in
 * processing, or waiting for the buyer.
 */
function resultOf(intent: Stripe.PaymentIntent): ChargeResult {
  const code = declineCode(intent);
  switch (intent.status) {
    case 'succeeded':
      return isRefunded(intent)
        ? { kind: 'declined', code: 'refunded' }
        : { kind: 'charged', paymentId: intent.id };
    case 'canceled':
      return { kind: 'declined', code: code ?? 'blocked' };
    case 'requires_payment_method':
    case 'requires_confirmation':
      // After a declined card, the second one if another charge has updated the intent since.
      if (code !== undefined) return { kind: 'declined', code };
      break;
    case 'requires_action':
    case 'requires_capture':
    case 'processing':
    default:
  }
  throw new Error(`Stripe has not decided on ${intent.id}: it is ${intent.status}`);
}

/** Whether all of the money was refunded. */
function isRefunded(intent: Stripe.PaymentIntent): boolean {
  return chargeOf(intent)?.refunded === true;
}

function chargeOf({ id, latest_charge: charge }: Stripe.PaymentIntent): Stripe.Charge | null {
  if (typeof charge === 'string') throw new Error(`The charge of ${id} was not expanded`);
  return charge;
}

/**
 * Why the card was declined: the issuer's code where it gave one, such as insufficient_funds, else Stripe's, such as
 * expired_card. Undefined where none was.
 */
function declineCode(intent: Stripe.PaymentIntent): string | undefined {
  const { last_payment_error: error } = intent;
  if (error) return error.decline_code ?? error.code ?? 'declined';
  const charge = chargeOf(intent);
  if (charge?.status !== 'failed') return undefined;
  return charge.outcome?.reason ?? charge.failure_code ?? 'declined';
}

/** Throws when the intent was tried for another amount or currency: the key then belongs to another charge. */
function checkSameCharge(intent: Stripe.PaymentIntent, charge: Charge): void {
  // An intent that was closed before any try still has its placeholder price.
  if (intent.metadata['request_id'] === undefined) return;
  const { amount, currency } = intent;
  const wanted = toStripeAmount(charge.amountMinor, charge.currency);
  if (amount === wanted && currency === charge.currency.toLowerCase()) return;
  throw new Error(`${charge.key} names a charge of ${amount} ${currency} at Stripe already`);
}
