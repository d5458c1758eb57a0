import type Stripe from 'stripe';
import type { Charge, ChargeAnswer } from './payment-provider';

/** Whether no charge was ever tried with this intent, and none is forbidden yet. */
export function isUntouched({ status, last_payment_error }: Stripe.PaymentIntent): boolean {
  const open = status === 'requires_payment_method' || status === 'requires_confirmation';
  return open && last_payment_error === null;
}

/**
 * What an intent that was touched says of its key; its latest charge must be expanded. Throws when that
 * is still open: a payment in processing, or one that waits for its buyer.
 */
export function answerOf(intent: Stripe.PaymentIntent): ChargeAnswer {
  switch (intent.status) {
    case 'succeeded':
      return isRefunded(intent)
        ? { kind: 'declined', code: 'refunded' }
        : { kind: 'charged', paymentId: intent.id };
    case 'canceled':
      return { kind: 'declined', code: declineCode(intent) ?? 'blocked' };
    case 'requires_payment_method':
      // Stripe puts an intent back into this state when its card was declined.
      return { kind: 'declined', code: declineCode(intent) ?? 'declined' };
    case 'requires_confirmation':
    case 'requires_action':
    case 'requires_capture':
    case 'processing':
    default:
      throw new Error(`Stripe has not decided on ${intent.id}: it is ${intent.status}`);
  }
}

/** Whether all of the money went back. */
export function isRefunded({ id, latest_charge: charge }: Stripe.PaymentIntent): boolean {
  if (typeof charge === 'string') throw new Error(`The charge of ${id} was not expanded`);
  return charge?.refunded === true;
}

/** Throws when the intent was tried for another amount or currency: its key names another charge. */
export function checkSameCharge(intent: Stripe.PaymentIntent, charge: Charge): void {
  // An intent that was closed before any try still has its placeholder price.
  if (intent.metadata['request_id'] === undefined) return;
  const { amount, currency } = intent;
  if (amount === charge.amountMinor && currency === charge.currency.toLowerCase()) return;
  throw new Error(`${charge.key} names a charge of ${amount} ${currency} at Stripe already`);
}

/** The issuer's word where it gave one, such as insufficient_funds, else Stripe's, such as expired_card. */
function declineCode({ last_payment_error: error }: Stripe.PaymentIntent): string | undefined {
  return error?.decline_code ?? error?.code;
}
