import type { Charge } from '../../../engine/payments/payment-provider';
import {
  createStripePaymentProvider,
  type StripeOptions,
} from '../../../engine/payments/stripe/stripe-provider';
import type { BuyerAction } from './checkout.contract';
import { signWebhook, type AccountEvent } from './stripe-account';
import { startStripeDouble } from './stripe-double';

export const WEBHOOK_SECRETS = ['whsec_new', 'whsec_old'];

/** The adapter before the double, and the buyers of its payments. */
export async function startStripe(options: Partial<StripeOptions> = {}, mockUrl?: string) {
  const stripe = await startStripeDouble(mockUrl);
  const adapter = createStripePaymentProvider({
    secretKey: 'sk_test_123',
    // Long enough for a crowd on a busy machine; a test that loses answers waits it out.
    timeoutMs: 10_000,
    webhookSecrets: WEBHOOK_SECRETS,
    paymentOf: ({ payment, context }) =>
      Promise.resolve(
        payment ?? (context.userId === 'nobody' ? undefined : { method: 'pm_card_visa' }),
      ),
    apiUrl: stripe.url,
    ...options,
  });
  const secrets = new Map<string, string>();
  const provider = {
    ...adapter,
    checkout: async (charge: Charge) => {
      const result = await adapter.checkout(charge);
      if (result.kind === 'pending' && result.page.provider === 'stripe') {
        secrets.set(charge.key, result.page.clientSecret);
      }
      return result;
    },
  };
  const pay = async (key: string, action: BuyerAction) => {
    const secret = secrets.get(key);
    if (secret === undefined) return;
    const card = CARDS[action];
    if (card === undefined) stripe.authenticate(secret.split('_secret_')[0] ?? '', true);
    else await stripe.payWithCard(secret, card);
  };
  const events: AccountEvent[] = [];
  stripe.onEvent((event) => events.push(event));
  const sign = (body: string, { secret = WEBHOOK_SECRETS[0] ?? '', ageSeconds = 0 } = {}) =>
    signWebhook(body, secret, Date.now() - ageSeconds * 1_000);
  /** They are there at once: a double tells of what it does. */
  const webhooksOf = (key: string) => {
    const bodies = events.filter((event) => keyOf(event) === key).map((one) => JSON.stringify(one));
    return Promise.resolve(bodies.map((body) => sign(body)));
  };
  const keyOf = ({ data }: AccountEvent) => {
    const { id = '', payment_intent: of = id } = data.object as Record<string, string>;
    return stripe.intents().find((one) => one.id === of)?.metadata['payment_key'];
  };
  const idOf = (key: string) =>
    stripe.intents().find(({ metadata }) => metadata['payment_key'] === key)?.id ?? '';
  const dispute = (key: string, status: 'open' | 'won' | 'lost') =>
    void stripe.dispute(idOf(key), status === 'open' ? 'needs_response' : status);
  const decideRefund = (_: string, id: string, status: 'succeeded' | 'failed') => {
    stripe.settleRefund(id, status);
  };
  const moneyHeld = (key: string) => Promise.resolve(stripe.moneyHeld(key));
  return {
    stripe,
    provider,
    pay,
    sign,
    webhooksOf,
    dispute,
    decideRefund,
    refundsAre: stripe.letRefundsBe,
    moneyHeld,
    decline: stripe.decline,
    close: stripe.close,
  };
}

/** Stripe's test cards, and one for a bank that takes its time. */
const CARDS: Readonly<Record<BuyerAction, string | undefined>> = {
  approve: 'pm_card_visa',
  decline: 'pm_card_visa_chargeDeclined',
  challenge: 'pm_card_authenticationRequired',
  processing: 'pm_processing',
  'approve-challenge': undefined,
};
