import type { Charge } from '../../../engine/payments/payment-provider';
import { newCharge } from './payment-provider.contract';
import { startStripe } from './stripe-subject';

const OPEN = 'POST /v1/payment_intents';
const UPDATE = 'POST /v1/payment_intents/:id';
const READ = 'GET /v1/payment_intents/:id';
const CANCEL = 'POST /v1/payment_intents/:id/cancel';
const SEARCH = 'GET /v1/payment_intents/search';
const HOURS = 3_600_000;

let subject: Awaited<ReturnType<typeof startStripe>>;
let stripe: typeof subject.stripe;
let provider: typeof subject.provider;
beforeEach(async () => {
  subject = await startStripe({ timeoutMs: 3_000, publishableKey: 'pk_test_1' });
  ({ stripe, provider } = subject);
});
afterEach(() => subject.close());

const youngCharge = (changes: Partial<Charge> = {}) =>
  newCharge({ keySince: Date.now(), ...changes });
const PENDING = { kind: 'pending' };

describe('a payment that a buyer makes at Stripe', () => {
  it('has the price and the ids of the order before its page is shown, and cards only', async () => {
    const charge = youngCharge({ amountMinor: 500, currency: 'ISK' });
    const opened = await provider.checkout(charge);
    const { requestId, itemId, userId } = charge.context;
    const ids = { request_id: requestId, item_id: itemId, user_id: userId };
    const [intent] = stripe.intents();
    expect(intent).toMatchObject({
      amount: 50_000,
      currency: 'isk',
      metadata: { payment_key: charge.key, ...ids },
      allowed_payment_method_types: ['card'],
    });
    expect(opened).toEqual({
      kind: 'pending',
      page: {
        provider: 'stripe',
        clientSecret: intent?.client_secret,
        publishableKey: 'pk_test_1',
      },
    });
  });

  it('takes two requests to open, to show again and to end, and no search', async () => {
    const charge = youngCharge();
    await provider.checkout(charge);
    await provider.checkout(charge);
    await provider.cancel(charge.key, charge.keySince);
    expect(stripe.requests).toEqual([OPEN, UPDATE, OPEN, READ, OPEN, CANCEL]);
  });

  it('shows its page only once it knows the price, whether its answer was lost or not', async () => {
    const charge = youngCharge();
    stripe.breakNext(UPDATE, 'lose-answer');
    await expect(provider.checkout(charge)).rejects.toThrow('no definite answer');
    await expect(provider.checkout(charge)).resolves.toMatchObject(PENDING);
    await subject.pay(charge.key, 'approve');
    expect(stripe.moneyHeld(charge.key)).toBe(1000);
  });

  it.each(['fail', 'refuse'] as const)(
    'shows no page while Stripe cannot set the price (%s), and is ended at its deadline',
    async (fault) => {
      const charge = youngCharge();
      stripe.breakNext(UPDATE, fault);
      // Stripe repeats it to the same idempotency key.
      for (let time = 0; time < 2; time++) {
        await expect(provider.checkout(charge)).rejects.toThrow('no definite answer');
      }
      expect(stripe.intents()).toMatchObject([{ status: 'requires_payment_method', amount: 100 }]);
      await expect(provider.cancel(charge.key)).resolves.toMatchObject({ kind: 'declined' });
    },
  );

  it.each<[string, object]>([
    ['amount', { amount: 100 }],
    ['currency', { currency: 'eur' }],
  ])('shows no page of a payment that Stripe shows with another price: %s', async (_, changed) => {
    const charge = youngCharge();
    await provider.checkout(charge);
    Object.assign(stripe.intents()[0] ?? {}, changed);
    await expect(provider.checkout(charge)).rejects.toThrow('no definite answer');
  });

  it('is opened by a checkout alone: a look-up leaves it without a price and a page', async () => {
    const charge = youngCharge();
    await expect(provider.find(charge.key)).resolves.toBeUndefined();
    await provider.checkout(charge);
    await expect(provider.find(charge.key)).resolves.toEqual(PENDING);
    expect(stripe.intents()).toHaveLength(1);
  });

  it.each<[string, Partial<Charge>]>([
    ['amount_too_small', { amountMinor: 49 }],
    ['invalid_amount', { amountMinor: 1001, currency: 'KWD' }],
  ])('is declined for good where Stripe can never take its amount: %s', async (code, changes) => {
    const charge = youngCharge(changes);
    await expect(provider.checkout(charge)).resolves.toEqual({ kind: 'declined', code });
    await expect(provider.checkout(charge)).resolves.toMatchObject({ kind: 'declined' });
    expect(stripe.intents()).toMatchObject([{ status: 'canceled' }]);
  });

  it('can be tried again after 3-D Secure was not passed', async () => {
    const charge = youngCharge();
    await provider.checkout(charge);
    await subject.pay(charge.key, 'challenge');
    expect(stripe.intents()).toMatchObject([{ status: 'requires_action' }]);
    stripe.authenticate('pi_1', false);
    await expect(provider.find(charge.key)).resolves.toEqual(PENDING);
    await subject.pay(charge.key, 'approve');
    await expect(provider.find(charge.key)).resolves.toMatchObject({ kind: 'charged' });
  });

  it('is decided by the bank where that takes its time', async () => {
    const [paid, refused] = [youngCharge(), youngCharge()];
    for (const { key } of [paid, refused]) {
      await provider.checkout(key === paid.key ? paid : refused);
      await subject.pay(key, 'processing');
    }
    stripe.decide('pi_1');
    stripe.decide('pi_2', 'insufficient_funds');
    await expect(provider.cancel(paid.key)).resolves.toMatchObject({ kind: 'charged' });
    await expect(provider.find(refused.key)).resolves.toEqual(PENDING);
    await expect(provider.cancel(refused.key)).resolves.toMatchObject({ kind: 'declined' });
  });

  it('takes no money that is only authorized', async () => {
    const charge = youngCharge();
    await provider.checkout(charge);
    Object.assign(stripe.intents()[0] ?? {}, { status: 'requires_capture' });
    await expect(provider.find(charge.key)).resolves.toEqual(PENDING);
    const ended = { kind: 'declined', code: 'cancelled' };
    await expect(provider.cancel(charge.key)).resolves.toEqual(ended);
    await expect(provider.find(charge.key)).resolves.toEqual(ended);
  });

  it('is not ended by a cancel that Stripe refuses', async () => {
    const charge = youngCharge();
    await provider.checkout(charge);
    stripe.breakNext(CANCEL, 'refuse');
    await expect(provider.cancel(charge.key)).rejects.toThrow('no definite answer');
  });

  describe('once Stripe has forgotten the idempotency keys', () => {
    it('is pending, shown again and paid once', async () => {
      const charge = youngCharge();
      await provider.checkout(charge);
      stripe.moveClock(25 * HOURS);
      const old = { ...charge, keySince: charge.keySince - 25 * HOURS };
      await expect(provider.find(old.key, old.keySince)).resolves.toEqual(PENDING);
      await expect(provider.checkout(old)).resolves.toMatchObject(PENDING);
      await subject.pay(charge.key, 'approve');
      const found = { kind: 'charged', amountMinor: 1000 };
      await expect(provider.find(old.key, old.keySince)).resolves.toMatchObject(found);
      expect(stripe.intents()).toHaveLength(1);
    });

    it('is ended with all intents of its key', async () => {
      const charge = youngCharge();
      await provider.checkout(charge);
      stripe.moveClock(25 * HOURS);
      await provider.cancel(charge.key, charge.keySince - 25 * HOURS);
      expect(stripe.requests).toContain(SEARCH);
      await subject.pay(charge.key, 'approve');
      expect(stripe.moneyHeld(charge.key)).toBe(0);
      expect(new Set(stripe.intents().map(({ status }) => status))).toEqual(new Set(['canceled']));
    });

    it('is charged where its buyer was faster than the cancel', async () => {
      const charge = youngCharge();
      await provider.checkout(charge);
      await subject.pay(charge.key, 'approve');
      stripe.moveClock(25 * HOURS);
      const found = { kind: 'charged', amountMinor: 1000 };
      await expect(provider.cancel(charge.key)).resolves.toMatchObject(found);
    });
  });
});

describe("Stripe's rate limit", () => {
  it('is kept by orders whose deadline is the same moment', async () => {
    const charges = Array.from({ length: 120 }, () => youngCharge());
    await Promise.all(charges.map((charge) => provider.checkout(charge)));
    stripe.limitTo(80);
    const startedAt = Date.now();
    const ended = await Promise.all(
      charges.map(({ key, keySince }) => provider.cancel(key, keySince)),
    );
    expect(new Set(ended.map(({ kind }) => kind))).toEqual(new Set(['declined']));
    // At most what is under way at once is refused, and then nothing is sent for half a second at least.
    const pauses = Math.ceil((Date.now() - startedAt) / 500);
    expect(stripe.limited()).toBeLessThanOrEqual(20 * pauses);
  });

  it('is waited for as long as Stripe says', async () => {
    stripe.limitTo(0, '2');
    const startedAt = Date.now();
    const found = provider.find('key:1', startedAt);
    while (stripe.limited() === 0) await new Promise(setImmediate);
    stripe.limitTo(Infinity);
    await expect(found).resolves.toBeUndefined();
    expect(Date.now() - startedAt).toBeGreaterThanOrEqual(2_000);
    expect(stripe.limited()).toBe(1);
  });

  it('is not asked again by one who cannot wait so long', async () => {
    stripe.limitTo(0, '60');
    for (let time = 0; time < 5; time++) {
      await expect(provider.find('key:1')).rejects.toThrow('no definite answer');
    }
    expect(stripe.limited()).toBe(1);
  });
});
