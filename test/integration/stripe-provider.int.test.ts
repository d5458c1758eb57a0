import { describeAfterSale } from '../engine/payments/after-sale.contract';
import { describeCheckout } from '../engine/payments/checkout.contract';
import { describePaymentProvider, newCharge } from '../engine/payments/payment-provider.contract';
import { startStripe } from '../engine/payments/stripe-subject';
import { findStripeMock, STRIPE_MOCK_INSTALL, type StripeMock } from '../support/stripe-mock';

/*
  stripe-mock knows every parameter of Stripe's API and remembers nothing, so it cannot play a payment by
  itself: the stateful double does, and shows each request to stripe-mock first.
*/
const startMock = findStripeMock();

if (startMock === undefined) {
  describe('the Stripe adapter before stripe-mock', () => {
    it.skip(`SKIPPED: to check the parameters, ${STRIPE_MOCK_INSTALL}, or set STRIPE_MOCK_URL`, () => {
      // Nothing to run: the name of this test is the message.
    });
  });
} else {
  let mock: StripeMock;
  beforeAll(async () => {
    mock = await startMock();
  });
  afterAll(() => mock.stop());

  const start = () =>
    startStripe(
      { paymentOf: () => Promise.resolve({ method: 'pm_card_visa', customer: 'cus_1' }) },
      mock.url,
    );
  describePaymentProvider('the Stripe adapter before stripe-mock', start);
  describeCheckout('the Stripe adapter before stripe-mock', start);
  describeAfterSale('the Stripe adapter before stripe-mock', start);

  test('stripe-mock takes every request about refunds, disputes and events', async () => {
    const { stripe, provider, sign, close } = await start();
    const { key, currency } = newCharge();
    await provider.charge(newCharge({ key, currency }));
    stripe.dispute(stripe.intents()[0]?.id ?? '', 'won');
    for (const refundKey of ['op-1', 'op-2']) {
      await provider.refundSale({ key, refundKey, amountMinor: 100, currency });
    }
    await expect(provider.returns(key)).resolves.toMatchObject({
      refunds: [{ refundKey: 'op-1' }, { refundKey: 'op-2' }],
      disputes: [{ status: 'won' }],
    });
    stripe.letRefundsBe('pending');
    for (let time = 0; time < 2; time++) await provider.refund(key);
    const [dispute] = stripe.visibleEvents().filter(({ type }) => type.includes('dispute'));
    const { body, headers } = sign(JSON.stringify(dispute));
    const event = await provider.readWebhook(body, () => headers['stripe-signature']);
    expect(event.hint).toMatchObject({ kind: 'returns', key });
    // More than a page, of which the reader asks for the oldest.
    for (let count = 0; count < 120; count++) stripe.emit('payment_intent.succeeded', {});
    await provider.listEvents(0);
    await close();
  });

  describe('stripe-mock', () => {
    it('refuses a parameter that Stripe does not have, which is what makes the above a check', async () => {
      const response = await fetch(`${mock.url}/v1/payment_intents`, {
        method: 'POST',
        headers: { authorization: 'Bearer sk_test_123' },
        body: new URLSearchParams({ amount: '100', currency: 'usd', price_of_the_unit: '100' }),
      });
      expect(response.status).toBe(400);
    });
  });
}
