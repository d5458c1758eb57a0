import { newCharge } from './payment-provider.contract';
import { startStripe } from './stripe-subject';

let subject: Awaited<ReturnType<typeof startStripe>>;
let stripe: typeof subject.stripe;
let provider: typeof subject.provider;
beforeEach(async () => {
  subject = await startStripe({ timeoutMs: 1_000 });
  ({ stripe, provider } = subject);
});
afterEach(() => subject.close());

/** The refund of a sold order of 10.00 USD. */
async function sold(changes: Parameters<typeof newCharge>[0] = {}) {
  const charge = newCharge({ keySince: Date.now(), ...changes });
  await provider.charge(charge);
  const { key, keySince, currency } = charge;
  return { key, keySince, refundKey: 'op-1', currency };
}

const REFUNDS = 'POST /v1/refunds';
const DAYS = 86_400_000;

describe('a refund of a sale at Stripe', () => {
  it('is made once, also when it is asked for again after Stripe has forgotten its key', async () => {
    const refund = { ...(await sold()), amountMinor: 300 };
    const made = await provider.refundSale(refund);
    expect(made).toMatchObject({ refundKey: 'op-1', amountMinor: 300, status: 'succeeded' });
    stripe.moveClock(7 * DAYS);
    const later = { ...refund, keySince: Date.now() - 7 * DAYS };
    await expect(provider.refundSale(later)).resolves.toEqual(made);
    expect(subject.stripe.moneyHeld(refund.key)).toBe(700);
  });

  it('is made once although its answer was lost', async () => {
    const refund = { ...(await sold()), amountMinor: 300 };
    stripe.breakNext(REFUNDS, 'lose-answer');
    await expect(provider.refundSale(refund)).rejects.toThrow('no definite answer');
    await expect(provider.refundSale(refund)).resolves.toMatchObject({ amountMinor: 300 });
    expect(stripe.refunds()).toHaveLength(1);
  });

  it('is made once when ten ask for it together', async () => {
    const refund = { ...(await sold()), amountMinor: 300 };
    const made = await Promise.all(Array.from({ length: 10 }, () => provider.refundSale(refund)));
    expect(new Set(made.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(stripe.moneyHeld(refund.key)).toBe(700);
  });

  it('gives back what is left where no amount is named, in what Stripe counts', async () => {
    const refund = await sold({ amountMinor: 500, currency: 'ISK' });
    await provider.refundSale({ ...refund, amountMinor: 200 });
    const rest = await provider.refundSale({ ...refund, refundKey: 'op-2' });
    expect(rest).toMatchObject({ amountMinor: 300, currency: 'ISK' });
    expect(stripe.refunds()).toMatchObject([{ amount: 20_000 }, { amount: 30_000 }]);
    await expect(provider.find(refund.key)).resolves.toMatchObject({ code: 'refunded' });
  });

  it('leaves a charge that is refunded in part as it is', async () => {
    const refund = await sold();
    await provider.refundSale({ ...refund, amountMinor: 300 });
    const found = { kind: 'charged', amountMinor: 1000 };
    await expect(provider.find(refund.key)).resolves.toMatchObject(found);
  });

  it.each<[string, object, object]>([
    ['amount_too_large', {}, { amountMinor: 1001 }],
    ['currency_mismatch', {}, { amountMinor: 10, currency: 'EUR' }],
    ['invalid_amount', { amountMinor: 1000, currency: 'KWD' }, { amountMinor: 5 }],
  ])('is refused: %s', async (code, charge, refund) => {
    const wanted = { ...(await sold(charge)), ...refund };
    await expect(provider.refundSale(wanted)).resolves.toEqual({ kind: 'refused', code });
    expect(stripe.refunds()).toEqual([]);
  });

  it.each<[string, (key: string, id: string) => unknown]>([
    ['charge_already_refunded', (key) => provider.refund(key)],
    ['charge_disputed', (_, id) => stripe.dispute(id)],
  ])('is refused: %s', async (code, happens) => {
    const wanted = await sold();
    await happens(wanted.key, stripe.intents()[0]?.id ?? '');
    await expect(provider.refundSale(wanted)).resolves.toEqual({ kind: 'refused', code });
  });

  it.each<[string, () => unknown]>([
    ['never seen', () => undefined],
    ['cancelled', () => provider.cancel('key:1')],
  ])('is refused for a key that was %s', async (_, happens) => {
    await happens();
    const refund = { key: 'key:1', refundKey: 'op-1', currency: 'USD' };
    const refused = { kind: 'refused', code: 'not_charged' };
    await expect(provider.refundSale(refund)).resolves.toEqual(refused);
  });

  it('is not decided while the buyer may still pay', async () => {
    const { key } = newCharge();
    await provider.checkout(newCharge({ key }));
    const refund = provider.refundSale({ key, refundKey: 'op-1', currency: 'USD' });
    await expect(refund).rejects.toThrow('no definite answer');
  });

  it('is tried again where the fault is not its own', async () => {
    const refund = await sold();
    stripe.breakNext(REFUNDS, 'refuse');
    await expect(provider.refundSale(refund)).rejects.toThrow('no definite answer');
  });
});

describe('what became of the money of a sale at Stripe', () => {
  it('is nothing for a key that was never seen, and for a charge as it was made', async () => {
    const nothing = { refunds: [], disputes: [] };
    await expect(provider.returns('key:1')).resolves.toEqual(nothing);
    const { key } = await sold();
    await expect(provider.returns(key)).resolves.toEqual(nothing);
  });

  it('has all refunds, whoever made them, the oldest first', async () => {
    const { key, ...refund } = await sold();
    await provider.refundSale({ key, ...refund, amountMinor: 100 });
    const payment_intent = stripe.intents()[0]?.id ?? '';
    stripe.refund(new URLSearchParams({ payment_intent, amount: '50' }));
    const { refunds } = await provider.returns(key);
    expect(refunds).toEqual([
      expect.objectContaining({ refundKey: 'op-1', amountMinor: 100, status: 'succeeded' }),
      expect.not.objectContaining({ refundKey: expect.anything() as unknown }),
    ]);
    expect(refunds[1]).toMatchObject({
      amountMinor: 50,
      currency: 'USD',
      at: expect.any(Number) as number,
    });
  });

  it('shows a refund that is pending and fails later, and gives the money back to the sale', async () => {
    const refund = await sold();
    stripe.letRefundsBe('pending');
    const made = await provider.refundSale(refund);
    expect(made).toMatchObject({ status: 'pending' });
    stripe.settleRefund('re_1', 'failed');
    const failed = { ...made, status: 'failed', code: 'expired_or_canceled_card' };
    await expect(provider.returns(refund.key)).resolves.toMatchObject({ refunds: [failed] });
    await expect(provider.refundSale(refund)).resolves.toEqual(failed);
    await expect(provider.find(refund.key)).resolves.toMatchObject({ kind: 'charged' });
    stripe.letRefundsBe('succeeded');
    const again = provider.refundSale({ ...refund, refundKey: 'op-2' });
    await expect(again).resolves.toMatchObject({ status: 'succeeded' });
  });

  it.each([
    ['needs_response', 'open'],
    ['warning_under_review', 'open'],
    ['won', 'won'],
    ['warning_closed', 'won'],
    ['lost', 'lost'],
  ])('shows a dispute that is %s as %s', async (status, shown) => {
    const { key } = await sold();
    stripe.dispute(stripe.intents()[0]?.id ?? '', status);
    const { disputes } = await provider.returns(key);
    const dispute = { amountMinor: 1000, currency: 'USD', reason: 'fraudulent', status: shown };
    expect(disputes).toMatchObject([dispute]);
  });
});

describe('a refund that closes a key at Stripe', () => {
  it('counts as made while it is pending, and throws once it has failed', async () => {
    const { key } = await sold();
    stripe.letRefundsBe('pending');
    await expect(provider.refund(key)).resolves.toBe('refunded');
    stripe.settleRefund('re_1', 'failed');
    await expect(provider.refund(key)).rejects.toMatchObject({
      cause: { message: expect.stringContaining('is failed') as string },
    });
    // A day later it is tried again.
    stripe.moveClock(DAYS);
    await expect(provider.refund(key, Date.now() - DAYS)).resolves.toBe('refunded');
    expect(stripe.moneyHeld(key)).toBe(0);
  });

  it('needs no search for a sale of any age whose payment is known', async () => {
    const refund = await sold();
    const found = await provider.find(refund.key, refund.keySince);
    const paymentId = found?.kind === 'charged' ? found.paymentId : '';
    stripe.moveClock(40 * DAYS);
    const old = { ...refund, keySince: Date.now() - 40 * DAYS, paymentId, amountMinor: 300 };
    await expect(provider.refundSale(old)).resolves.toMatchObject({ status: 'succeeded' });
    const { refunds } = await provider.returns(old.key, old.keySince, paymentId);
    expect(refunds).toMatchObject([{ amountMinor: 300 }]);
    expect(stripe.requests).not.toContain('GET /v1/payment_intents/search');
  });

  it('is never of a payment that is another one', async () => {
    const refund = { ...(await sold()), amountMinor: 300 };
    const other = await provider.find((await sold()).key);
    const paymentId = other?.kind === 'charged' ? other.paymentId : '';
    await provider.refundSale({ ...refund, paymentId });
    expect(stripe.moneyHeld(refund.key)).toBe(700);
    await expect(provider.returns(refund.key, refund.keySince, 'pay_1')).resolves.toMatchObject({
      refunds: [{ amountMinor: 300 }],
    });
  });

  it('searches only for a key that may be old', async () => {
    await provider.refund((await sold()).key, Date.now());
    expect(stripe.requests).not.toContain('GET /v1/payment_intents/search');
  });
});
