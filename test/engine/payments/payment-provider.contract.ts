import { randomUUID } from 'node:crypto';
import type { Charge, PaymentProvider } from '../../../engine/payments/payment-provider';

export interface ProviderUnderTest {
  readonly provider: PaymentProvider;
  /** Makes the provider decline this key, which it has not seen, with this code. */
  readonly decline: (key: string, code: string) => Promise<void> | void;
  /** The money held under this key, in minor units, as the provider's own books show it. */
  readonly moneyHeld: (key: string) => Promise<number>;
  readonly close: () => Promise<void> | void;
}

/** A charge of 10.00 USD under a key that no other test uses. */
export function newCharge(changes: Partial<Charge> = {}): Charge {
  const requestId = `req-${randomUUID()}`;
  return {
    key: `${requestId}:1`,
    amountMinor: 1000,
    currency: 'USD',
    keySince: 0,
    context: { requestId, itemId: '101', userId: 'u1' },
    ...changes,
  };
}

/** What every payment provider must do. */
export function describePaymentProvider(name: string, start: () => Promise<ProviderUnderTest>) {
  describe(`${name} as a payment provider`, () => {
    let subject: ProviderUnderTest;
    let provider: PaymentProvider;
    beforeAll(async () => {
      subject = await start();
      provider = subject.provider;
    });
    afterAll(() => subject.close());

    describe('charge', () => {
      it('takes the money once and gives the same answer to the same charge', async () => {
        const charge = newCharge();
        const first = await provider.charge(charge);
        expect(first).toEqual({ kind: 'charged', paymentId: expect.any(String) as string });
        await expect(provider.charge(charge)).resolves.toEqual(first);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });

      it('gives every key a payment of its own', async () => {
        const [one, two] = await Promise.all([
          provider.charge(newCharge()),
          provider.charge(newCharge()),
        ]);
        expect(one).not.toEqual(two);
      });

      it('declines with the reason, and declines the same key again', async () => {
        const charge = newCharge();
        await subject.decline(charge.key, 'insufficient_funds');
        const declined = { kind: 'declined', code: 'insufficient_funds' };
        await expect(provider.charge(charge)).resolves.toEqual(declined);
        await expect(provider.charge(charge)).resolves.toEqual(declined);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
      });

      it('refuses another amount or currency under a key and leaves the first charge as it is', async () => {
        const charge = newCharge();
        const first = await provider.charge(charge);
        await expect(provider.charge({ ...charge, amountMinor: 2000 })).rejects.toThrow();
        await expect(provider.charge({ ...charge, currency: 'EUR' })).rejects.toThrow();
        await expect(provider.find(charge.key)).resolves.toMatchObject(first);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });

      it('captures once when fifty charges of one key arrive together', async () => {
        const charge = newCharge();
        const answers = await settleAll(50, () => provider.charge(charge));
        expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
        expect(answers[0]).toMatchObject({ kind: 'charged' });
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });

      it.each(['insufficient_funds', 'authentication_required'])(
        'declines once when fifty charges of one key arrive together: %s',
        async (code) => {
          const charge = newCharge();
          await subject.decline(charge.key, code);
          const answers = await settleAll(50, () => provider.charge(charge));
          expect(new Set(answers.map(({ kind }) => kind))).toEqual(new Set(['declined']));
          await expect(provider.find(charge.key)).resolves.toMatchObject({ kind: 'declined' });
          await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
        },
      );

      it('holds the amount that it answered for when two amounts arrive together', async () => {
        const charge = newCharge();
        const amounts = [1000, 2000];
        const answers = await Promise.allSettled(
          amounts.map((amountMinor) => provider.charge({ ...charge, amountMinor })),
        );
        const charged = amounts.filter((_, index) => answers[index]?.status === 'fulfilled');
        expect(charged).toEqual([await subject.moneyHeld(charge.key)]);
      });

      it('takes a key with every character that an id may have', async () => {
        const charge = newCharge({ key: `A0._~:@+=-${randomUUID()}:12` });
        const answer = await provider.charge(charge);
        await expect(provider.find(charge.key)).resolves.toMatchObject(answer);
        await expect(provider.refund(charge.key)).resolves.toBe('refunded');
      });
    });

    describe('find', () => {
      it('knows nothing of a key that was never seen', async () => {
        await expect(provider.find(newCharge().key)).resolves.toBeUndefined();
      });

      it('does not stand in the way of a later charge', async () => {
        const charge = newCharge();
        await provider.find(charge.key);
        await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'charged' });
      });

      it('repeats the answer that the charge had, with the amount and the currency that it took', async () => {
        const taken = newCharge({ amountMinor: 1250, currency: 'EUR' });
        const refused = newCharge();
        await subject.decline(refused.key, 'card_declined');
        const charged = await provider.charge(taken);
        const declined = await provider.charge(refused);
        const amount = { amountMinor: 1250, currency: 'EUR' };
        await expect(provider.find(taken.key)).resolves.toEqual({ ...charged, ...amount });
        await expect(provider.find(refused.key)).resolves.toEqual(declined);
      });
    });

    describe('refund', () => {
      it('gives the money back once and closes the key', async () => {
        const charge = newCharge();
        await provider.charge(charge);
        await expect(provider.refund(charge.key)).resolves.toBe('refunded');
        await expect(provider.refund(charge.key)).resolves.toBe('nothing');
        await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'declined' });
        await expect(provider.find(charge.key)).resolves.toMatchObject({ kind: 'declined' });
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
      });

      it('blocks a key that was never seen, so that its charge comes too late', async () => {
        const charge = newCharge();
        await expect(provider.refund(charge.key)).resolves.toBe('nothing');
        await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'declined' });
        await expect(provider.find(charge.key)).resolves.toMatchObject({ kind: 'declined' });
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
      });

      it('finds nothing to give back under a declined key', async () => {
        const charge = newCharge();
        await subject.decline(charge.key, 'card_declined');
        await provider.charge(charge);
        await expect(provider.refund(charge.key)).resolves.toBe('nothing');
        await expect(provider.charge(charge)).resolves.toMatchObject({ kind: 'declined' });
      });

      it('leaves no money behind when it races charges of the same unseen key', async () => {
        const charges = Array.from({ length: 20 }, () => newCharge());
        await Promise.all(
          charges.flatMap((charge, index) => {
            const refund = () => provider.refund(charge.key);
            const calls = [() => provider.charge(charge), refund, () => provider.charge(charge)];
            // Each way round, so that neither side has a head start every time.
            return (index % 2 === 0 ? calls : [refund, ...calls]).map((call) => call());
          }),
        );
        const held = charges.map(({ key }) => subject.moneyHeld(key));
        expect(new Set(await Promise.all(held))).toEqual(new Set([0]));
        const found = charges.map(({ key }) => provider.find(key));
        for (const answer of await Promise.all(found)) {
          expect(answer).toMatchObject({ kind: 'declined' });
        }
      });
    });
  });
}

function settleAll<T>(count: number, call: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, call));
}
