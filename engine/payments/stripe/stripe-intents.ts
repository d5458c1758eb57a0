import type Stripe from 'stripe';
import type { ChargeResult, FoundCharge, PendingPayment } from '../payment-provider';
import { fromStripeAmount } from './stripe-amounts';
import { isReplayed } from './stripe-client';

/*
  The PaymentIntent of a payment key: how it is found, and what it says of the key.
*/

/**
 * The price of an intent before its charge is known: any that Stripe accepts, but always the same, because Stripe compares
 * the parameters of requests with one idempotency key.
 */
const PLACEHOLDER = { amount: 100, currency: 'usd' } as const;

/** Cards, and the wallets that hold them: they decide at once. A bank debit or a transfer takes days. */
const METHODS = ['card'] satisfies Stripe.PaymentIntentCreateParams['allowed_payment_method_types'];

/** Stripe knows an idempotency key for 24 hours, and the clock by which a key is dated may be off by an hour. */
const KEY_KNOWN_MS = 22 * 3_600_000;

/**
 * The intent with which the key was tried, or an untouched one, which is created where there is none. `paymentId`: of a sale,
 * which may be of any age: then nothing is searched. It may be another provider's.
 */
export async function intentOf(
  stripe: Stripe,
  key: string,
  since: number | undefined,
  paymentId?: string,
): Promise<Stripe.PaymentIntent> {
  const paid = paymentId?.startsWith('pi_') ? await readIntent(stripe, paymentId) : undefined;
  if (paid?.metadata['payment_key'] === key) return paid;
  // First, so that a key of last week does not get one intent more with each look-up.
  const older = await Promise.all(
    (await olderIds(stripe, key, since)).map((id) => readIntent(stripe, id)),
  );
  const tried = older.find((one) => !isUntouched(one));
  if (tried) return tried;
  const opened = await openIntent(stripe, key);
  return isReplayed(opened) ? readIntent(stripe, opened.id) : opened;
}

/** The ids of all intents of the key, one at least. */
export async function intentIdsOf(
  stripe: Stripe,
  key: string,
  since: number | undefined,
): Promise<ReadonlySet<string>> {
  const { id } = await openIntent(stripe, key);
  return new Set([id, ...(await olderIds(stripe, key, since))]);
}

/** The first request creates the key's intent; later ones show it as it was then. */
function openIntent(stripe: Stripe, key: string): Promise<Stripe.Response<Stripe.PaymentIntent>> {
  return stripe.paymentIntents.create(
    { ...PLACEHOLDER, allowed_payment_method_types: METHODS, metadata: { payment_key: key } },
    { idempotencyKey: `${key}:open` },
  );
}

export function readIntent(stripe: Stripe, id: string): Promise<Stripe.PaymentIntent> {
  return stripe.paymentIntents.retrieve(id, { expand: ['latest_charge'] });
}

/** Intents from before Stripe forgot the key's idempotency key; none where it cannot have. Search may not show the newest yet. */
async function olderIds(stripe: Stripe, key: string, since = 0): Promise<string[]> {
  if (Math.abs(Date.now() - since) < KEY_KNOWN_MS) return [];
  const quoted = key.replace(/['\\]/g, '\\$&');
  const found = await stripe.paymentIntents.search({
    query: `metadata['payment_key']:'${quoted}'`,
    limit: 100,
  });
  // Search ignores case.
  return found.data.filter(({ metadata }) => metadata['payment_key'] === key).map(({ id }) => id);
}

/** Whether nothing was tried with the intent and nothing is forbidden yet. */
export function isUntouched(intent: Stripe.PaymentIntent): boolean {
  const { status, last_payment_error, latest_charge } = intent;
  const open = status === 'requires_payment_method' || status === 'requires_confirmation';
  return open && last_payment_error === null && latest_charge === null && !isCheckout(intent);
}

/** In the metadata of an intent whose price its buyer may see and pay. */
export const CHECKOUT = { paid_by: 'buyer' } as const;

function isCheckout({ metadata }: Stripe.PaymentIntent): boolean {
  return metadata['paid_by'] === CHECKOUT.paid_by;
}

/**
 * The result that a tried intent, with its latest charge expanded, means for its key. An intent that its buyer may pay is
 * pending until it is paid or cancelled, whatever became of a card. Throws while a charge is undecided: in processing, or
 * waiting for a buyer who is absent.
 */
export function resultOf(intent: Stripe.PaymentIntent): ChargeResult | PendingPayment {
  const code = declineCode(intent);
  const { id, status } = intent;
  if (status === 'succeeded') {
    return chargeOf(intent)?.refunded === true
      ? { kind: 'declined', code: 'refunded' }
      : { kind: 'charged', paymentId: id };
  }
  if (status === 'canceled') {
    return { kind: 'declined', code: isCheckout(intent) ? 'cancelled' : (code ?? 'blocked') };
  }
  if (isCheckout(intent)) return { kind: 'pending' };
  const isOpen = status === 'requires_payment_method' || status === 'requires_confirmation';
  // After a declined card, the second one if another charge has updated the intent since.
  if (isOpen && code !== undefined) return { kind: 'declined', code };
  throw new Error(`Stripe has not decided on ${id}: it is ${status}`);
}

/** The same, with the amount that was taken. */
export function foundOf(intent: Stripe.PaymentIntent): FoundCharge {
  const result = resultOf(intent);
  if (result.kind !== 'charged') return result;
  const currency = intent.currency.toUpperCase();
  return { ...result, amountMinor: fromStripeAmount(intent.amount, currency), currency };
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
