/*
  Stripe as the payment provider.

  The port must answer for a key at once, also for a key that it has never seen, and must be able to close such a key for
  good. Stripe's search alone is too slow for that: it lags by up to a minute, on a bad day by an hour. So every key has
  one PaymentIntent that is found by the key alone. It is created unconfirmed, at a placeholder price, under the
  idempotency key `<key>:open`. Its parameters are always the same, so the first request creates it and every later
  request gets its id. Then

    charge   sets the price and confirms the intent under `<key>:confirm`: of concurrent charges one takes the money and
             all get the same result. The price needs no idempotency key: Stripe changes none after the confirmation,
             and a charge that finds another price throws
    find     reads the intent: one that was never tried means that the key was never charged
    refund   cancels the intent. Stripe then refuses every confirmation, so a charge still on its way fails. If the
             intent has succeeded, the money is refunded under `<intent>:refund`

  After a confirmation that failed, the intent is read again; the error alone does not tell the outcome.

  Limits:
  - Stripe forgets an idempotency key after 24 hours at the earliest, and then creates a second intent for the key. By
    then search knows the first one (its metadata has the key), so an untouched intent is believed only after a search
    for older ones. The two windows overlap by 23 hours.
  - Stripe repeats a response of 500 to the same idempotency key for those 24 hours, too. If it hit the creation, the key
    can neither be charged nor closed until then, which is safe. If it hit the confirmation, the charge stays unknown and
    its refund decides it at once.
  - A charge is four requests. Search has the lowest rate limit: about 20 charges a second and account.
  - A look-up of a key that was never charged leaves an incomplete intent in the dashboard.
  - The buyer is absent: a card that asks for authentication is declined (authentication_required).
*/
import Stripe from 'stripe';
import type { Charge, ChargeResult, FoundCharge, PaymentProvider } from './payment-provider';

/**
 * The price of an intent before its charge is known: any that Stripe accepts, but always the same, because Stripe compares
 * the parameters of requests with one idempotency key.
 */
const PLACEHOLDER = { amount: 100, currency: 'usd' } as const;

export interface StripeOptions {
  readonly secretKey: string;
  /** The time limit of one request, in ms. A charge makes four, or five after a failure. */
  readonly timeoutMs: number;
  /** The buyer's saved card at Stripe; must be the same each time for the same charge. */
  readonly paymentMethodOf: (
    charge: Charge,
  ) => Promise<{ readonly paymentMethod: string; readonly customer?: string }>;
  /** Base URL of the API, for tests; Stripe's own by default. */
  readonly apiUrl?: string;
}

/**
 * Charges cards through Stripe's PaymentIntents. Amounts are passed on unchanged: Stripe also counts in the smallest unit
 * of a currency. Keys have up to 240 characters. Every method throws, with the cause, when Stripe gave no definite answer.
 */
export function createStripePaymentProvider(options: StripeOptions): PaymentProvider {
  const stripe = connect(options);

  /** The intent with which the key was tried, or an untouched one. */
  const intentOf = async (key: string): Promise<Stripe.PaymentIntent> => {
    const intent = await openIntent(stripe, key);
    if (!isUntouched(intent)) return intent;
    const older = await olderIntents(stripe, intent, key);
    return older.find((one) => !isUntouched(one)) ?? intent;
  };

  const charge = async (wanted: Charge): Promise<ChargeResult> => {
    let intent = await intentOf(wanted.key);
    if (isUntouched(intent)) {
      intent = await confirm(stripe, intent, wanted, options.paymentMethodOf);
    }
    checkSameCharge(intent, wanted);
    return resultOf(intent);
  };

  const find = async (key: string): Promise<FoundCharge | undefined> => {
    const intent = await intentOf(key);
    if (isUntouched(intent)) return undefined;
    const result = resultOf(intent);
    if (result.kind === 'declined') return result;
    return { ...result, amountMinor: intent.amount, currency: intent.currency.toUpperCase() };
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
    find: (key) => withContext(`find ${key}`, find(key)),
    refund: (key) => withContext(`refund ${key}`, refund(key)),
  };
}

function connect({ secretKey, timeoutMs, apiUrl }: StripeOptions): Stripe {
  // No retries here: the caller retries by its own policy, and two policies multiply.
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

/** Takes the money, once, and returns the intent as it is afterwards. */
async function confirm(
  stripe: Stripe,
  { id }: Stripe.PaymentIntent,
  charge: Charge,
  paymentMethodOf: StripeOptions['paymentMethodOf'],
): Promise<Stripe.PaymentIntent> {
  const { key, amountMinor, currency, context } = charge;
  const { paymentMethod, customer } = await paymentMethodOf(charge);
  try {
    await stripe.paymentIntents.update(id, {
      amount: amountMinor,
      currency: currency.toLowerCase(),
      ...(customer !== undefined && { customer }),
      metadata: {
        request_id: context.requestId,
        item_id: context.itemId,
        user_id: context.userId,
      },
    });
    return await stripe.paymentIntents.confirm(
      id,
      { payment_method: paymentMethod, off_session: true, expand: ['latest_charge'] },
      { idempotencyKey: `${key}:confirm` },
    );
  } catch (error) {
    // The card was declined, the intent was cancelled meanwhile, or it has another price: the intent tells which.
    if (!wasAnswered(error)) throw error;
    const intent = await readIntent(stripe, id);
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
function isUntouched({ status, last_payment_error }: Stripe.PaymentIntent): boolean {
  const open = status === 'requires_payment_method' || status === 'requires_confirmation';
  return open && last_payment_error === null;
}

/**
 * The result that a tried intent, with its latest charge expanded, means for its key. Throws while it is undecided: in
 * processing, or waiting for the buyer.
 */
function resultOf(intent: Stripe.PaymentIntent): ChargeResult {
  switch (intent.status) {
    case 'succeeded':
      return isRefunded(intent)
        ? { kind: 'declined', code: 'refunded' }
        : { kind: 'charged', paymentId: intent.id };
    case 'canceled':
      return { kind: 'declined', code: declineCode(intent) ?? 'blocked' };
    case 'requires_payment_method':
      // The status after a declined card.
      return { kind: 'declined', code: declineCode(intent) ?? 'declined' };
    case 'requires_confirmation':
    case 'requires_action':
    case 'requires_capture':
    case 'processing':
    default:
      throw new Error(`Stripe has not decided on ${intent.id}: it is ${intent.status}`);
  }
}

/** Whether all of the money was refunded. */
function isRefunded({ id, latest_charge: charge }: Stripe.PaymentIntent): boolean {
  if (typeof charge === 'string') throw new Error(`The charge of ${id} was not expanded`);
  return charge?.refunded === true;
}

/** The issuer's code where it gave one, such as insufficient_funds, else Stripe's, such as expired_card. */
function declineCode({ last_payment_error: error }: Stripe.PaymentIntent): string | undefined {
  return error?.decline_code ?? error?.code;
}

/** Throws when the intent was tried for another amount or currency: the key then belongs to another charge. */
function checkSameCharge(intent: Stripe.PaymentIntent, charge: Charge): void {
  // An intent that was closed before any try still has its placeholder price.
  if (intent.metadata['request_id'] === undefined) return;
  const { amount, currency } = intent;
  if (amount === charge.amountMinor && currency === charge.currency.toLowerCase()) return;
  throw new Error(`${charge.key} names a charge of ${amount} ${currency} at Stripe already`);
}
