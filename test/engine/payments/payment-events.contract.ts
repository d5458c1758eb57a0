import {
  InvalidWebhookError,
  type Charge,
  type CheckoutProvider,
  type PaymentEvent,
  type PaymentEvents,
  type PaymentProvider,
} from '../../../engine/payments/payment-provider';
import type { CheckoutUnderTest } from './checkout.contract';
import { newCharge } from './payment-provider.contract';

/** A webhook as it is received. */
export interface Webhook {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface EventsUnderTest extends CheckoutUnderTest {
  readonly provider: PaymentProvider & CheckoutProvider & PaymentEvents;
  /** The webhooks that were sent of a key, the oldest first; waits until there are so many. */
  readonly webhooksOf: (key: string, count: number) => Promise<readonly Webhook[]>;
  /** A webhook with a signature of that age, by the provider's own secret if it is not another. */
  readonly sign: (body: string, of?: { secret?: string; ageSeconds?: number }) => Webhook;
}

/** What every provider must do that tells what happens at it. */
export function describePaymentEvents(name: string, start: () => Promise<EventsUnderTest>) {
  describe(`${name} as a provider that tells what happens`, () => {
    let subject: EventsUnderTest;
    let provider: EventsUnderTest['provider'];
    beforeAll(async () => {
      subject = await start();
      provider = subject.provider;
    });
    afterAll(() => subject.close());

    const paid = async (changes: Partial<Charge> = {}) => {
      const charge = newCharge(changes);
      await provider.checkout(charge);
      await subject.pay(charge.key, 'approve');
      return charge;
    };
    const read = ({ body, headers }: Webhook) =>
      provider.readWebhook(body, (header) => headers[header.toLowerCase()]);
    const hintOf = (kind: string, { key, context }: Charge) => ({
      kind,
      key,
      requestId: context.requestId,
      itemId: context.itemId,
    });
    /** All events from a time on, page by page. */
    const listSince = async (since: number) => {
      const events: PaymentEvent[] = [];
      for (let next: number | undefined = since; next !== undefined;) {
        const page: Awaited<ReturnType<PaymentEvents['listEvents']>> =
          await provider.listEvents(next);
        events.push(...page.events);
        next = page.next;
      }
      return events;
    };
    const eventsOf = async ({ key }: Charge, since = 0) =>
      (await listSince(since)).filter(({ hint }) => hint?.key === key);

    describe('a webhook', () => {
      it('tells that a payment was made, of which order, and when', async () => {
        const before = Date.now();
        const charge = await paid();
        const [webhook] = await subject.webhooksOf(charge.key, 1);
        const event = webhook && (await read(webhook));
        expect(event).toEqual({
          id: expect.any(String) as string,
          at: expect.any(Number) as number,
          hint: hintOf('paid', charge),
        });
        // Some providers count seconds.
        expect(event?.at).toBeGreaterThanOrEqual(before - 1_000);
        expect(event?.at).toBeLessThanOrEqual(Date.now() + 1_000);
      });

      it('tells that a payment was cancelled, and that one was given back', async () => {
        const [cancelled, refunded] = [newCharge(), await paid()];
        await provider.checkout(cancelled);
        await provider.cancel(cancelled.key);
        await provider.refund(refunded.key);
        const last = async ({ key }: Charge, count: number) => {
          const webhook = (await subject.webhooksOf(key, count)).at(-1);
          return webhook && (await read(webhook)).hint;
        };
        await expect(last(cancelled, 1)).resolves.toEqual(hintOf('ended', cancelled));
        await expect(last(refunded, 2)).resolves.toEqual(hintOf('returns', refunded));
      });

      it('is the same event when it is read again, and in the list', async () => {
        const charge = await paid();
        const [webhook] = await subject.webhooksOf(charge.key, 1);
        if (!webhook) throw new Error('there is one');
        const event = await read(webhook);
        await expect(read(webhook)).resolves.toEqual(event);
        await expect(eventsOf(charge)).resolves.toEqual([event]);
      });

      it('is believed for 300 s after it was signed', async () => {
        const charge = await paid();
        const [webhook] = await subject.webhooksOf(charge.key, 1);
        if (!webhook) throw new Error('there is one');
        const body = webhook.body.toString();
        const young = subject.sign(body, { ageSeconds: 290 });
        await expect(read(young)).resolves.toEqual(await read(webhook));
        const old = subject.sign(body, { ageSeconds: 310 });
        await expect(read(old)).rejects.toThrow(InvalidWebhookError);
      });

      it('is refused where the signature is missing, empty, garbage or of another secret or body', async () => {
        const charge = await paid();
        const [webhook] = await subject.webhooksOf(charge.key, 1);
        if (!webhook) throw new Error('there is one');
        const body = webhook.body.toString();
        const changed = Buffer.from(body.replaceAll(charge.key, `${charge.key}0`));
        const forged = [
          { ...webhook, headers: {} },
          ...['', 'garbage', 't=1,v1=', 't=,v1=00', `t=${Math.floor(Date.now() / 1000)}`].map(
            (signature) => ({
              ...webhook,
              headers: Object.fromEntries(
                Object.keys(webhook.headers).map((header) => [header, signature]),
              ),
            }),
          ),
          { ...webhook, body: changed },
          { ...webhook, body: Buffer.from('') },
          subject.sign(body, { secret: 'whsec_other' }),
        ];
        for (const one of forged) await expect(read(one)).rejects.toThrow(InvalidWebhookError);
      });

      it.each(['no JSON', '[]', 'null', '"text"', '{}', '{"id":1,"type":"x"}'])(
        'is refused where what was signed is no event: %s',
        async (body) => {
          await expect(read(subject.sign(body))).rejects.toThrow(InvalidWebhookError);
        },
      );
    });

    describe('the list of events', () => {
      it('has what happened to a key, the oldest first', async () => {
        const charge = await paid();
        await provider.refund(charge.key);
        // Some providers tell of a refund more than once.
        const [first, ...others] = (await eventsOf(charge)).map(({ hint }) => hint);
        expect(first).toEqual(hintOf('paid', charge));
        expect(others.length).toBeGreaterThan(0);
        for (const hint of others) expect(hint).toEqual(hintOf('returns', charge));
      });

      it('gives all of many events page by page, in the order of their times', async () => {
        const startedAt = Date.now();
        const charges = await Promise.all(Array.from({ length: 230 }, () => paid()));
        const events = await listSince(startedAt - 1_000);
        const times = events.map(({ at }) => at);
        expect(times).toEqual(times.toSorted((one, other) => one - other));
        const keys = new Set(events.map(({ hint }) => hint?.key));
        expect(charges.filter(({ key }) => !keys.has(key))).toEqual([]);
      });

      it('begins at the time that it is asked for, which may be that of an event', async () => {
        const charge = await paid();
        const [event] = await eventsOf(charge);
        await expect(eventsOf(charge, event?.at)).resolves.toEqual([event]);
        const later = await listSince((event?.at ?? 0) + 60_000);
        expect(later).toEqual([]);
      });
    });
  });
}
