import { createStripePaymentProvider } from '../../payments/stripe-provider';
import { describePaymentProvider } from '../payments/payment-provider.contract';
import { startStripeDouble } from '../payments/stripe-double';

/*
  stripe-mock knows every parameter of Stripe's API and remembers nothing, so it cannot play a payment by
  itself: the stateful double does, and shows each request to stripe-mock first.
*/
const mockUrl = process.env['STRIPE_MOCK_URL'];

if (mockUrl === undefined) {
  describe('the Stripe adapter before stripe-mock', () => {
    it.skip('SKIPPED: set STRIPE_MOCK_URL to a running stripe-mock to check the parameters', () => {
      // Nothing to run: the name of this test is the message.
    });
  });
} else {
  describePaymentProvider('the Stripe adapter before stripe-mock', async () => {
    const stripe = await startStripeDouble(mockUrl);
    const provider = createStripePaymentProvider({
      secretKey: 'sk_test_123',
      timeoutMs: 10_000,
      paymentMethodOf: () => Promise.resolve({ paymentMethod: 'pm_card_visa', customer: 'cus_1' }),
      apiUrl: stripe.url,
    });
    return { ...stripe, provider, moneyHeld: (key) => Promise.resolve(stripe.moneyHeld(key)) };
  });
}
