import { createStripePaymentProvider } from '../../../engine/payments/stripe-provider';
import { startStripeDouble } from './stripe-double';
import { describePaymentProvider, newCharge } from './payment-provider.contract';

const OPEN = 'POST /v1/payment_intents';
const CONFIRM = 'POST /v1/payment_intents/:id/confirm';

/** The default is long enough for a crowd on a busy machine; a test that loses answers waits it out. */
async function start(timeoutMs = 10_000) {
  const stripe = await startStripeDouble();
  const provider = createStripePaymentProvider({
    secretKey: 'sk_test_123',
    timeoutMs,
    paymentMethodOf: () => Promise.resolve({ paymentMethod: 'pm_card_visa', customer: 'cus_1' }),
    apiUrl: stripe.url,
  });
  return { stripe, provider };
}

describePaymentProvider('the Stripe adapter', async () => {
  const { stripe, provider } = await start();
  return { ...stripe, provider, moneyHeld: (key) => Promise.resolve(stripe.moneyHeld(key)) };
});

describe('the Stripe adapter', () => {
  let stripe: Awaited<ReturnType<typeof start>>['stripe'];
  let provider: Awaited<ReturnType<typeof start>>['provider'];
  beforeEach(async () => {
    ({ stripe, provider } = await start(1_000));
  });
  afterEach(() => stripe.close());

  it('tells Stripe the amount as it is, the currency and the ids', async () => {
    const charge = newCharge({ key: 'req-1:2', amountMinor: 5000, currency: 'JPY' });
    await provider.charge(charge);
    const { requestId, itemId, userId } = charge.context;
    expect(stripe.intents()).toMatchObject([
      {
        amount: 5000,
        currency: 'jpy',
        metadata: {
          payment_key: 'req-1:2',
          request_id: requestId,
          item_id: itemId,
          user_id: userId,
        },
      },
    ]);
  });

  it('charges with four requests, and repeats the answer with two', async () => {
    const charge = newCharge();
    await provider.charge(charge);
    expect(stripe.requests).toHaveLength(4);
    await provider.charge(charge);
    expect(stripe.requests).toHaveLength(6);
  });

  it('finds at once a charge whose answer was lost, also while search lags behind', async () => {
    const charge = newCharge();
    stripe.letSearchLag();
    stripe.breakNext(CONFIRM, 'lose-answer');
    await expect(provider.charge(charge)).rejects.toMatchObject({
      message: `Stripe gave no definite answer to charge ${charge.key}`,
      cause: { type: 'StripeConnectionError' },
    });
    await expect(provider.find(charge.key)).resolves.toMatchObject({ kind: 'charged' });
    await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
    expect(stripe.moneyHeld(charge.key)).toBe(1000);
  });

  it('opens one intent for a key although the answer to the opening was lost', async () => {
    const charge = newCharge();
    stripe.breakNext(OPEN, 'lose-answer');
    await expect(provider.charge(charge)).rejects.toThrow('no definite answer');
    await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
    expect(stripe.intents()).toHaveLength(1);
  });

  it('leaves a charge open that failed with 500, and closes it on refund', async () => {
    const charge = newCharge();
    stripe.breakNext(CONFIRM, 'fail');
    await expect(provider.charge(charge)).rejects.toMatchObject({ cause: { statusCode: 500 } });
    // The failure is repeated to the same idempotency key, as Stripe does.
    await expect(provider.charge(charge)).rejects.toMatchObject({ cause: { statusCode: 500 } });
    await expect(provider.refund(charge.key)).resolves.toBe('nothing');
    await expect(provider.charge(charge)).resolves.toEqual({ kind: 'declined', code: 'blocked' });
  });

  it('calls a payment in processing neither charged nor declined nor refunded', async () => {
    const charge = newCharge();
    stripe.breakNext(CONFIRM, 'process');
    const calls = [
      () => provider.charge(charge),
      () => provider.find(charge.key),
      () => provider.refund(charge.key),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow('no definite answer');
  });

  describe('once Stripe has forgotten the idempotency keys', () => {
    it('does not charge a second time', async () => {
      const charge = newCharge();
      const first = await provider.charge(charge);
      stripe.forgetKeys();
      await expect(provider.charge(charge)).resolves.toEqual(first);
      await expect(provider.find(charge.key)).resolves.toMatchObject(first);
      expect(stripe.moneyHeld(charge.key)).toBe(1000);
    });

    it('gives the money back and keeps the key closed', async () => {
      const charge = newCharge();
      await provider.charge(charge);
      stripe.forgetKeys();
      await expect(provider.refund(charge.key)).resolves.toBe('refunded');
      stripe.forgetKeys();
      await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'declined' });
      expect(stripe.moneyHeld(charge.key)).toBe(0);
    });

    it('keeps a key blocked that was never charged', async () => {
      const charge = newCharge();
      await provider.refund(charge.key);
      stripe.forgetKeys();
      await expect(provider.charge(charge)).resolves.toEqual({ kind: 'declined', code: 'blocked' });
    });

    it('does not mistake another key that differs in case only', async () => {
      const [lower, upper] = [newCharge({ key: 'req-a:1' }), newCharge({ key: 'REQ-A:1' })];
      await provider.charge(lower);
      await expect(provider.find(upper.key)).resolves.toBeUndefined();
      await expect(provider.charge(upper)).resolves.toMatchObject({ kind: 'charged' });
    });
  });
});
