import type { Charge } from '../../../engine/payments/payment-provider';
import { describeAfterSale } from './after-sale.contract';
import { describeCheckout } from './checkout.contract';
import { describePaymentEvents } from './payment-events.contract';
import { describePaymentProvider, newCharge } from './payment-provider.contract';
import { startStripe } from './stripe-subject';

const OPEN = 'POST /v1/payment_intents';
const UPDATE = 'POST /v1/payment_intents/:id';
const CONFIRM = 'POST /v1/payment_intents/:id/confirm';
const SEARCH = 'GET /v1/payment_intents/search';

describePaymentProvider('the Stripe adapter', startStripe);
describeCheckout('the Stripe adapter', startStripe);
describePaymentEvents('the Stripe adapter', startStripe);
describeAfterSale('the Stripe adapter', startStripe);

describe('the Stripe adapter', () => {
  let stripe: Awaited<ReturnType<typeof startStripe>>['stripe'];
  let provider: Awaited<ReturnType<typeof startStripe>>['provider'];
  beforeEach(async () => {
    ({ stripe, provider } = await startStripe({ timeoutMs: 1_000 }));
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

  it('charges with three requests, and repeats the answer with two', async () => {
    const charge = newCharge({ keySince: Date.now() });
    await provider.charge(charge);
    expect(stripe.requests).toEqual([OPEN, UPDATE, CONFIRM]);
    await provider.charge(charge);
    expect(stripe.requests).toHaveLength(5);
  });

  // A key of the future is dated by no clock that can be trusted.
  it.each([
    [21, 0],
    [23, 1],
    [-23, 1],
  ])(
    'searches only for a key that may be older than what Stripe knows of it: %s hours, %s',
    async (hours, searches) => {
      const keySince = Date.now() - hours * 3_600_000;
      await provider.find(newCharge().key, keySince);
      await provider.charge(newCharge({ keySince }));
      const asked = stripe.requests.filter((one) => one === SEARCH);
      expect(asked).toHaveLength(2 * searches);
    },
  );

  it('counts amounts as Stripe does, and finds them as the order does', async () => {
    const charge = newCharge({ amountMinor: 500, currency: 'ISK' });
    await provider.charge(charge);
    expect(stripe.intents()).toMatchObject([{ amount: 50_000, currency: 'isk' }]);
    const found = provider.find(charge.key);
    await expect(found).resolves.toMatchObject({ amountMinor: 500, currency: 'ISK' });
    await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
  });

  it('pays with what the purchase names, and the first confirmation counts', async () => {
    const charge = newCharge();
    const first = await provider.charge({ ...charge, payment: { method: 'pm_first' } });
    const second = { method: 'pm_second', customer: 'cus_2' };
    await expect(provider.charge({ ...charge, payment: second })).resolves.toEqual(first);
    expect(stripe.intents()).toMatchObject([{ payment_method: 'pm_first' }]);
  });

  it('goes on with another payment method after a confirmation without an answer', async () => {
    const charge = newCharge();
    stripe.breakNext(UPDATE, 'lose-answer');
    const first = { ...charge, payment: { method: 'pm_first' } };
    await expect(provider.charge(first)).rejects.toThrow('no definite answer');
    const second = { ...charge, payment: { method: 'pm_second' } };
    await expect(provider.charge(second)).resolves.toMatchObject({ kind: 'charged' });
    expect(stripe.moneyHeld(charge.key)).toBe(1000);
  });

  it('answers all charges alike, some of which name what Stripe refuses', async () => {
    for (let round = 0; round < 20; round++) {
      const charge = newCharge();
      const methods = ['pm_1', 'pm_unknown', 'pm_2', 'pm_unknown', 'pm_3'].slice(round % 5);
      const answers = await Promise.all(
        methods.map((method) => provider.charge({ ...charge, payment: { method } })),
      );
      const kinds = new Set(answers.map(({ kind }) => kind));
      expect(kinds.size).toBe(1);
      expect(stripe.moneyHeld(charge.key)).toBe(kinds.has('charged') ? 1000 : 0);
    }
  });

  it.each<[string, Partial<Charge>]>([
    ['resource_missing', { payment: { method: 'pm_unknown' } }],
    ['parameter_missing', { payment: { method: 'pm_of_a_customer' } }],
    ['invalid_request', { payment: { method: 'pm_detached' } }],
    ['amount_too_small', { amountMinor: 49 }],
    ['invalid_amount', { amountMinor: 1001, currency: 'KWD' }],
    ['no_payment_method', { context: { requestId: 'r', itemId: '101', userId: 'nobody' } }],
  ])('declines for good what Stripe can never charge: %s', async (code, changes) => {
    const charge = newCharge(changes);
    await expect(provider.charge(charge)).resolves.toEqual({ kind: 'declined', code });
    expect(stripe.intents()).toMatchObject([{ status: 'canceled' }]);
    // A late attempt of the same charge, of which the shop knows more by now.
    const late = { ...charge, amountMinor: 1000, currency: 'USD', payment: { method: 'pm_card' } };
    await expect(provider.charge(late)).resolves.toMatchObject({ kind: 'declined' });
    expect(stripe.moneyHeld(charge.key)).toBe(0);
  });

  it.each<[string, () => Partial<Charge>]>([
    ['its confirmation', () => (stripe.breakNext(CONFIRM, 'refuse'), {})],
    ['its payment method', () => ({ payment: { method: 'pm_unactivated' } })],
  ])('declines no order for a fault of the account: %s', async (_, broken) => {
    const charge = newCharge(broken());
    await expect(provider.charge(charge)).rejects.toThrow('no definite answer');
    await expect(provider.find(charge.key)).resolves.toBeUndefined();
    await expect(provider.refund(charge.key)).resolves.toBe('nothing');
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

    it('does not charge what it declined, although a late charge has updated the intent', async () => {
      const charge = newCharge();
      stripe.decline(charge.key, 'insufficient_funds');
      const declined = await provider.charge(charge);
      // By a process that was killed before it could confirm.
      const body = new URLSearchParams({ amount: '1000', currency: 'usd', payment_method: 'pm_2' });
      await fetch(`${stripe.url}/v1/payment_intents/pi_1`, { method: 'POST', body });
      expect(stripe.intents()).toMatchObject([{ last_payment_error: null }]);
      stripe.acceptAll();
      stripe.forgetKeys();
      await expect(provider.find(charge.key)).resolves.toEqual(declined);
      await expect(provider.charge(charge)).resolves.toEqual(declined);
      expect(stripe.moneyHeld(charge.key)).toBe(0);
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
