import Stripe from 'stripe';
import {
  NOT_CHARGED,
  type AfterSaleProvider,
  type DisputeState,
  type RefundState,
  type RefundStatus,
  type SaleRefund,
} from '../payment-provider';
import { fromStripeAmount, toStripeAmount } from './stripe-amounts';
import { intentOf, isUntouched, resultOf } from './stripe-intents';

/** Far more refunds than a payment can have. */
const LISTED_MAX = 1_000;

/*
  What happens to the money after a sale. A refund has its own key in its metadata and is looked for by it: Stripe forgets the
  idempotency key `<intent>:refund:<refund key>` after a day, and an operator may ask again next week.
*/
export function createStripeReturns(stripe: Stripe): AfterSaleProvider {
  const refundsOf = (id: string) =>
    stripe.refunds
      .list({ payment_intent: id, limit: 100 })
      .autoPagingToArray({ limit: LISTED_MAX });

  return {
    async refundSale({ key, keySince, paymentId, refundKey, amountMinor, currency }: SaleRefund) {
      const intent = await intentOf(stripe, key, keySince, paymentId);
      if (intent.status !== 'succeeded') {
        const isPending = !isUntouched(intent) && resultOf(intent).kind === 'pending';
        if (isPending) throw new Error(`${intent.id} is its buyer's to pay`);
        return { kind: 'refused', code: NOT_CHARGED };
      }
      const { request_id = '', item_id = '' } = intent.metadata;
      const refunds = await refundsOf(intent.id);
      const earlier = refunds.find(({ metadata }) => metadata?.['refund_key'] === refundKey);
      if (earlier) return refundState(earlier);
      if (currency.toLowerCase() !== intent.currency) {
        return { kind: 'refused', code: 'currency_mismatch' };
      }
      const amount = amountMinor === undefined ? undefined : toStripeAmount(amountMinor, currency);
      if (amount === undefined && amountMinor !== undefined) {
        return { kind: 'refused', code: 'invalid_amount' };
      }
      try {
        const made = await stripe.refunds.create(
          {
            payment_intent: intent.id,
            ...(amount !== undefined && { amount }),
            // Its events name the order by these.
            metadata: { payment_key: key, request_id, item_id, refund_key: refundKey },
          },
          { idempotencyKey: `${intent.id}:refund:${refundKey}` },
        );
        return refundState(made);
      } catch (error) {
        const code = refusalOf(error);
        if (code === undefined) throw error;
        return { kind: 'refused', code };
      }
    },

    async returns(key, keySince, paymentId) {
      const intent = await intentOf(stripe, key, keySince, paymentId);
      if (isUntouched(intent)) return { refunds: [], disputes: [] };
      const refunds = await refundsOf(intent.id);
      const disputes = await stripe.disputes
        .list({ payment_intent: intent.id, limit: 100 })
        .autoPagingToArray({ limit: LISTED_MAX });
      // Stripe lists the newest first.
      return {
        refunds: refunds.map(refundState).reverse(),
        disputes: disputes.map(disputeState).reverse(),
      };
    },
  };
}

/** Why Stripe will never make a refund; undefined where it may, as when the account's balance is too low for now. */
function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof Stripe.errors.StripeInvalidRequestError)) return undefined;
  const { code, param } = error;
  if (code !== undefined && NEVER_REFUNDED.has(code)) return code;
  // More than is left.
  return param === 'amount' ? (code ?? 'amount_too_large') : undefined;
}

const NEVER_REFUNDED = new Set([
  'charge_already_refunded',
  'charge_disputed',
  'refund_disputed_payment',
]);

function refundState(refund: Stripe.Refund): RefundState {
  const currency = refund.currency.toUpperCase();
  const status = REFUND_STATUS[refund.status ?? ''] ?? 'pending';
  const refundKey = refund.metadata?.['refund_key'];
  return {
    refundId: refund.id,
    ...(refundKey !== undefined && { refundKey }),
    amountMinor: fromStripeAmount(refund.amount, currency),
    currency,
    status,
    at: refund.created * 1_000,
    ...(status === 'failed' && { code: refund.failure_reason ?? refund.status ?? 'failed' }),
  };
}

/** All else is pending: Stripe waits for the bank, or for the buyer. */
const REFUND_STATUS: Readonly<Record<string, RefundStatus>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  canceled: 'failed',
};

function disputeState(dispute: Stripe.Dispute): DisputeState {
  const currency = dispute.currency.toUpperCase();
  return {
    disputeId: dispute.id,
    amountMinor: fromStripeAmount(dispute.amount, currency),
    currency,
    status: DISPUTE_STATUS[dispute.status] ?? 'open',
    at: dispute.created * 1_000,
    reason: dispute.reason,
  };
}

/** An inquiry that is closed and a dispute that was prevented take no money. All else waits for the shop or the bank. */
const DISPUTE_STATUS: Readonly<Record<string, DisputeState['status']>> = {
  won: 'won',
  warning_closed: 'won',
  prevented: 'won',
  lost: 'lost',
};
