import { InvalidWebhookError, type PaymentEvent } from '../../../engine/payments/payment-provider';
import { newCharge } from './payment-provider.contract';
import { startStripe, WEBHOOK_SECRETS } from './stripe-subject';

let subject: Awaited<ReturnType<typeof startStripe>>;
let stripe: typeof subject.stripe;
let provider: typeof subject.provider;
beforeEach(async () => {
  subject = await startStripe();
  ({ stripe, provider } = subject);
});
afterEach(() => subject.close());

/** A payment that its buyer has made. */
async function paid() {
  const charge = newCharge();
  await provider.checkout(charge);
  await subject.pay(charge.key, 'approve');
  const intent = stripe.intents().find((one) => one.metadata['payment_key'] === charge.key);
  const { requestId, itemId } = charge.context;
  return { charge, id: intent?.id ?? '', hint: { key: charge.key, requestId, itemId } };
}

const hintsOf = (events: readonly PaymentEvent[]) => events.flatMap(({ hint }) => hint ?? []);

const OURS = { metadata: { payment_key: 'k', request_id: 'r', item_id: '101' } };

describe('a webhook of Stripe', () => {
  const read = (body: string, of?: Parameters<typeof subject.sign>[1]) => {
    const { body: sent, headers } = subject.sign(body, of);
    return provider.readWebhook(sent, (name) => headers[name as keyof typeof headers]);
  };
  /** The bodies of what happens from now on. */
  const watched = () => {
    const bodies: string[] = [];
    stripe.onEvent((event) => bodies.push(JSON.stringify(event)));
    return bodies;
  };

  it('is a hint at the key, also with the secret that is being replaced', async () => {
    const bodies = watched();
    const { hint } = await paid();
    for (const secret of WEBHOOK_SECRETS) {
      await expect(read(bodies[0] ?? '', { secret })).resolves.toEqual({
        id: expect.any(String) as string,
        at: expect.any(Number) as number,
        hint: { kind: 'paid', ...hint },
      });
    }
  });

  it('tells a payment that was cancelled from one that was made', async () => {
    const bodies = watched();
    const charge = newCharge();
    await provider.checkout(charge);
    await provider.cancel(charge.key);
    expect((await read(bodies[0] ?? '')).hint).toMatchObject({ kind: 'ended', key: charge.key });
  });

  it.each<[string, (body: string) => Promise<unknown>]>([
    ['of somebody else', (body) => read(body, { secret: 'whsec_other' })],
    ['too old', (body) => read(body, { ageSeconds: 310 })],
    ['of the thin kind', () => read('{"object":"v2.core.event"}')],
  ])('is refused before any request: one %s', async (_, send) => {
    const { id } = await paid();
    const bodies = watched();
    stripe.dispute(id);
    const before = stripe.requests.length;
    await expect(send(bodies[0] ?? '')).rejects.toThrow(InvalidWebhookError);
    expect(stripe.requests).toHaveLength(before);
  });

  it('is refused where no secret is configured', async () => {
    const other = await startStripe({ webhookSecrets: [] });
    const { body, headers } = subject.sign('{"object":"event"}');
    const reading = other.provider.readWebhook(body, () => headers['stripe-signature']);
    await expect(reading).rejects.toThrow('No webhook secret is configured');
    await other.close();
  });

  it('names the order of a refund and of a dispute that do not say it, with one request', async () => {
    const { id, hint } = await paid();
    const bodies = watched();
    // In the dashboard, without the metadata of the engine.
    stripe.refund(new URLSearchParams({ payment_intent: id, amount: '100' }));
    stripe.dispute(id);
    const before = stripe.requests.length;
    const hints = [];
    for (const body of bodies) hints.push((await read(body)).hint);
    expect(hints).toEqual(bodies.map(() => ({ kind: 'returns', ...hint })));
    expect(bodies).toHaveLength(3);
    expect(stripe.requests.slice(before)).toEqual(['GET /v1/payment_intents/:id']);
  });

  it('needs no request for a refund of the engine', async () => {
    const { charge, hint } = await paid();
    const bodies = watched();
    await provider.refundSale({ key: charge.key, refundKey: 'op-1', currency: 'USD' });
    const before = stripe.requests.length;
    for (const body of bodies) {
      expect((await read(body)).hint).toEqual({ kind: 'returns', ...hint });
    }
    expect(bodies).toHaveLength(2);
    expect(stripe.requests).toHaveLength(before);
  });

  it.each<[string, string, object, object]>([
    ['another product', 'payment_intent.succeeded', { id: 'pi_x', metadata: { order: '7' } }, {}],
    ['a payment that is unknown here', 'charge.dispute.created', { payment_intent: 'pi_x' }, {}],
    ['a dispute without a payment', 'charge.dispute.created', { payment_intent: null }, {}],
    ['a kind that changes nothing', 'payment_intent.payment_failed', OURS, {}],
    ['another account', 'payment_intent.succeeded', OURS, { account: 'acct_2' }],
    ['live mode', 'payment_intent.succeeded', OURS, { livemode: true }],
  ])('is no hint: of %s', async (_, type, object, more) => {
    const bodies = watched();
    stripe.emit(type, object, more);
    expect((await read(bodies[0] ?? '')).hint).toBeUndefined();
  });
});

describe("Stripe's list of events", () => {
  /** From a time on until there is no more, as its reader does. */
  const readAll = async (since: number) => {
    const pages: PaymentEvent[][] = [];
    for (let from: number | undefined = since; from !== undefined;) {
      const { events, next } = await provider.listEvents(from);
      pages.push([...events]);
      if (next !== undefined) expect(next).toBeGreaterThan(from);
      from = next;
    }
    return pages;
  };
  const ofKeys = (count: number, name = 'k') => {
    for (let index = 0; index < count; index++) {
      const metadata = { ...OURS.metadata, payment_key: `${name}${String(index)}` };
      stripe.emit('payment_intent.succeeded', { metadata });
    }
  };

  it('shows what has happened, the oldest first, from a time on', async () => {
    stripe.moveClock(-60_000);
    await paid();
    stripe.moveClock(30_000);
    const first = await paid();
    stripe.moveClock(30_000);
    const second = await paid();
    const [events = [], ...more] = await readAll(Date.now() - 45_000);
    expect(more).toEqual([]);
    expect(hintsOf(events).map(({ key }) => key)).toEqual([first.charge.key, second.charge.key]);
  });

  it('has nothing where nothing has happened', async () => {
    await expect(provider.listEvents(Date.now() - 86_400_000)).resolves.toEqual({ events: [] });
  });

  it('is read in pages of some seconds by a reader who is behind', async () => {
    stripe.moveClock(-3_600_000);
    for (let minute = 0; minute < 60; minute++) {
      ofKeys(10, `k${String(minute)}-`);
      stripe.moveClock(60_000);
    }
    const before = stripe.requests.length;
    const pages = await readAll(Date.now() - 86_400_000);
    const keys = hintsOf(pages.flat()).map(({ key }) => key);
    expect(new Set(keys).size).toBe(600);
    expect(keys).toHaveLength(600);
    const times = pages.flat().map(({ at }) => at);
    expect(times).toEqual([...times].sort((one, other) => one - other));
    expect(Math.max(...pages.map(({ length }) => length))).toBeLessThanOrEqual(100);
    expect(stripe.requests.length - before).toBeLessThan(60);
  });

  it('shows all events of a second that has more than a page', async () => {
    stripe.moveClock(-60_000);
    ofKeys(250);
    stripe.moveClock(10_000);
    ofKeys(1, 'last');
    stripe.moveClock(50_000);
    const keys = hintsOf((await readAll(Date.now() - 300_000)).flat()).map(({ key }) => key);
    expect(new Set(keys).size).toBe(251);
    expect(keys.at(-1)).toBe('last0');
  });

  it('shows an event that appears late to a reader who asks for the last minute again', async () => {
    stripe.delayEvents(5_000);
    ofKeys(1, 'late');
    stripe.delayEvents(0);
    ofKeys(1, 'prompt');
    const since = Date.now() - 60_000;
    const keysOf = async () => hintsOf((await readAll(since)).flat()).map(({ key }) => key);
    await expect(keysOf()).resolves.toEqual(['prompt0']);
    stripe.moveClock(6_000);
    expect(new Set(await keysOf())).toEqual(new Set(['late0', 'prompt0']));
  });
});
