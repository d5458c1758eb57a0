/*
  Stripe as the payment provider.

  The port must answer for a key at once, for a key that it has never seen too, and be able to close such a
  key for good. Stripe's search cannot carry that alone: it lags by up to a minute, by an hour on a bad day.
  So every key has one PaymentIntent, its mailbox, which whoever knows only the key can reach: it is created
  unconfirmed, at a placeholder price, under the idempotency key `<key>:open`. The parameters are always the
  same, so the first request creates it and every later one is told its id. Then

    charge   gives it its price and confirms it under `<key>:confirm`: of several charges at once one takes the
             money and all hear the same. A price needs no key of its own: Stripe changes none after the
             confirmation, and a charge that finds another one than its own throws
    find     reads it: an intent that was never tried means that the key was never charged
    refund   cancels it, after which Stripe refuses every confirmation, so a charge still on its way
             comes too late; if it has succeeded, the money goes back under `<intent>:refund`

  What became of a confirmation that failed is never guessed from the error: the intent is read again.

  The limits of it:
  - Stripe forgets an idempotency key after 24 hours at the earliest, and then opens a second mailbox for the
    key. By then search knows the first one (it is marked with the key), so an untouched mailbox is believed
    only after a search for older ones. The two windows overlap by 23 hours.
  - An answer of 500 is repeated to the same idempotency key for those 24 hours as well. If it hit the opening,
    the key can neither be charged nor be closed until then, which is safe; if it hit the confirmation, the
    charge stays unknown and its refund settles it at once.
  - A charge is four requests, of which search is the scarcest: about 20 charges a second and account.
  - Asking about a key that was never charged leaves an incomplete intent in the dashboard.
  - The buyer is not there to authenticate: a card that asks for it is declined (authentication_required).
*/
import Stripe from 'stripe';
import type { Charge, ChargeAnswer, PaymentProvider } from './payment-provider';
import { answerOf, checkSameCharge, isRefunded, isUntouched } from './stripe-intent';

/**
 * The price of a mailbox before its charge is known: any that Stripe accepts, but for ever the same, because
 * it is part of what an idempotency key is compared by.
 */
const PLACEHOLDER = { amount: 100, currency: 'usd' } as const;

export interface StripeOptions {
  readonly secretKey: string;
  /** How long one request may take, in ms. A charge makes four, or five after a failure. */
  readonly timeoutMs: number;
  /** Where a buyer's saved card is, at Stripe; the same one every time for the same charge. */
  readonly paymentMethodOf: (
    charge: Charge,
  ) => Promise<{ readonly paymentMethod: string; readonly customer?: string }>;
  /** Base URL of the API, for tests; Stripe's own by default. */
  readonly apiUrl?: string;
}

/**
 * Charges cards through Stripe's PaymentIntents. Amounts are passed on as they are: Stripe, too, counts in the
 * smallest unit of each currency, so currencies without decimals need no care. Keys may have up to 240
 * characters. Every method throws, with the cause, when Stripe gave no definite answer.
 */
export function createStripePaymentProvider(options: StripeOptions): PaymentProvider {
  const stripe = connect(options);

  const charge = async (wanted: Charge): Promise<ChargeAnswer> => {
    const mailbox = await openMailbox(stripe, wanted.key);
    const tried = isUntouched(mailbox) ? await findOlder(stripe, mailbox, wanted.key) : mailbox;
    const intent = tried ?? (await confirm(stripe, mailbox, wanted, options.paymentMethodOf));
    checkSameCharge(intent, wanted);
    return answerOf(intent);
  };

  const find = async (key: string): Promise<ChargeAnswer | undefined> => {
    const mailbox = await openMailbox(stripe, key);
    const tried = isUntouched(mailbox) ? await findOlder(stripe, mailbox, key) : mailbox;
    return tried && answerOf(tried);
  };

  const refund = async (key: string): Promise<'refunded' | 'nothing'> => {
    const mailbox = await openMailbox(stripe, key);
    let answer: 'refunded' | 'nothing' = 'nothing';
    for (const intent of [mailbox, ...(await olderOf(stripe, mailbox, key))]) {
      if ((await closeIntent(stripe, intent)) === 'refunded') answer = 'refunded';
    }
    return answer;
  };

  return {
    charge: (wanted) => explained(`charge ${wanted.key}`, charge(wanted)),
    find: (key) => explained(`find ${key}`, find(key)),
    refund: (key) => explained(`refund ${key}`, refund(key)),
  };
}

function connect({ secretKey, timeoutMs, apiUrl }: StripeOptions): Stripe {
  // The caller tries again by its own policy; two policies on top of each other multiply.
  const config = { timeout: timeoutMs, maxNetworkRetries: 0, telemetry: false };
  if (apiUrl === undefined) return new Stripe(secretKey, config);
  const { protocol, hostname: host, port } = new URL(apiUrl);
  return new Stripe(secretKey, {
    ...config,
    host,
    port,
    protocol: protocol === 'http:' ? 'http' : 'https',
  });
}

/** The key's intent as it stands now, created if this is the first to ask. */
async function openMailbox(stripe: Stripe, key: string): Promise<Stripe.PaymentIntent> {
  const opened = await stripe.paymentIntents.create(
    { ...PLACEHOLDER, allowed_payment_method_types: ['card'], metadata: { payment_key: key } },
    { idempotencyKey: `${key}:open` },
  );
  // A replayed answer shows the intent as it was when it was new.
  const replayed = opened.lastResponse.headers['idempotent-replayed'] === 'true';
  return replayed ? readIntent(stripe, opened.id) : opened;
}

function readIntent(stripe: Stripe, id: string): Promise<Stripe.PaymentIntent> {
  return stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });
}

/** The intent of this key that was tried before Stripe forgot the mailbox it was in. */
async function findOlder(stripe: Stripe, mailbox: Stripe.PaymentIntent, key: string) {
  const older = await olderOf(stripe, mailbox, key);
  return older.find((intent) => !isUntouched(intent));
}

async function olderOf(
  stripe: Stripe,
  mailbox: Stripe.PaymentIntent,
  key: string,
): Promise<Stripe.PaymentIntent[]> {
  const quoted = key.replace(/['\\]/g, '\\$&');
  const found = await stripe.paymentIntents.search({
    query: `metadata['payment_key']:'${quoted}'`,
    limit: 100,
  });
  // Search ignores case, and shows each intent as it was when it was indexed.
  const older = found.data.filter(
    ({ id, metadata }) => id !== mailbox.id && metadata['payment_key'] === key,
  );
  return Promise.all(older.map(({ id }) => readIntent(stripe, id)));
}

/** Takes the money, once, and returns the intent as it stands after that. */
async function confirm(
  stripe: Stripe,
  mailbox: Stripe.PaymentIntent,
  charge: Charge,
  paymentMethodOf: StripeOptions['paymentMethodOf'],
): Promise<Stripe.PaymentIntent> {
  const { key, amountMinor, currency, context } = charge;
  const { paymentMethod, customer } = await paymentMethodOf(charge);
  try {
    await stripe.paymentIntents.update(mailbox.id, {
      amount: amountMinor,
      currency: currency.toLowerCase(),
      ...(customer === undefined ? {} : { customer }),
      metadata: {
        request_id: context.requestId,
        item_id: context.itemId,
        user_id: context.userId,
      },
    });
    return await stripe.paymentIntents.confirm(
      mailbox.id,
      { payment_method: paymentMethod, off_session: true, expand: ['latest_charge'] },
      { idempotencyKey: `${key}:confirm` },
    );
  } catch (error) {
    // A decline, an intent that was cancelled meanwhile, another price: the intent tells which.
    if (!wasAnswered(error)) throw error;
    const intent = await readIntent(stripe, mailbox.id);
    if (isUntouched(intent)) throw error;
    return intent;
  }
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
  throw new Error(`The refund of ${id} is ${String(status)}: somebody must look at it`);
}

/** Whether Stripe received the request and refused it; otherwise nothing is known of it. */
function wasAnswered(error: unknown): boolean {
  return error instanceof Stripe.errors.StripeError && error.statusCode !== undefined;
}

async function explained<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new Error(`Stripe gave no definite answer to ${what}`, { cause: error });
  }
}
