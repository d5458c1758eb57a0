import type {
  Charge,
  CheckoutProvider,
  CheckoutResult,
  PaymentProvider,
} from '../../../engine/payments/payment-provider';
import { newCharge, type ProviderUnderTest } from './payment-provider.contract';

/** What a buyer does with an open payment. */
export type BuyerAction =
  | 'approve'
  /** The card is declined; the buyer may try another. */
  | 'decline'
  /** The bank asks the buyer, as 3-D Secure does: the payment is pending until it is answered. */
  | 'challenge'
  | 'approve-challenge'
  /** The buyer has paid, and the bank takes its time. */
  | 'processing';

export interface CheckoutUnderTest extends ProviderUnderTest {
  readonly provider: PaymentProvider & CheckoutProvider;
  /** Acts as the buyer of a payment that was opened. Resolves also where the payment cannot be paid any more. */
  readonly pay: (key: string, action: BuyerAction) => Promise<void>;
}

/** What every provider must do whose buyers can pay themselves. */
export function describeCheckout(name: string, start: () => Promise<CheckoutUnderTest>) {
  describe(`${name} as a provider of payments that buyers make`, () => {
    let subject: CheckoutUnderTest;
    let provider: CheckoutUnderTest['provider'];
    beforeAll(async () => {
      subject = await start();
      provider = subject.provider;
    });
    afterAll(() => subject.close());

    /** A payment that its buyer can make. */
    const opened = async (changes: Partial<Charge> = {}) => {
      const charge = newCharge(changes);
      pageOf(await provider.checkout(charge));
      return charge;
    };
    const pending = { kind: 'pending' };
    const charged = {
      kind: 'charged',
      paymentId: expect.any(String) as string,
      amountMinor: 1000,
      currency: 'USD',
    };
    const declined = { kind: 'declined', code: expect.any(String) as string };
    /** Nothing can be paid under the key, now or later. */
    const expectClosed = async (charge: Charge) => {
      await subject.pay(charge.key, 'approve');
      await expect(provider.find(charge.key)).resolves.toMatchObject(declined);
      await expect(provider.checkout(charge)).resolves.toMatchObject(declined);
      await expect(provider.charge(charge)).resolves.toMatchObject(declined);
      await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
    };

    describe('checkout', () => {
      it('opens one payment, which is pending and holds no money, and shows its page again', async () => {
        const charge = newCharge();
        const page = pageOf(await provider.checkout(charge));
        expect(pageOf(await provider.checkout(charge))).toEqual(page);
        await expect(provider.find(charge.key)).resolves.toEqual(pending);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
      });

      it('gives every key a page of its own', async () => {
        const one = pageOf(await provider.checkout(newCharge()));
        expect(pageOf(await provider.checkout(newCharge()))).not.toEqual(one);
      });

      it('gives one page to twenty that ask at the same time', async () => {
        const charge = newCharge();
        const pages = Array.from({ length: 20 }, () => provider.checkout(charge).then(pageOf));
        expect(new Set((await Promise.all(pages)).map((page) => JSON.stringify(page))).size).toBe(
          1,
        );
      });

      it('is charged once its buyer has paid, with the amount of the charge', async () => {
        const charge = await opened({ amountMinor: 1250, currency: 'EUR' });
        await subject.pay(charge.key, 'approve');
        const paid = { ...charged, amountMinor: 1250, currency: 'EUR' };
        await expect(provider.find(charge.key)).resolves.toEqual(paid);
        await expect(provider.checkout(charge)).resolves.toEqual(paid);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1250);
      });

      it('takes the money once, however often its buyer pays', async () => {
        const charge = await opened();
        await Promise.all(Array.from({ length: 5 }, () => subject.pay(charge.key, 'approve')));
        await subject.pay(charge.key, 'decline');
        await expect(provider.find(charge.key)).resolves.toEqual(charged);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });

      it('stays pending after a card that is declined, and takes another', async () => {
        const charge = await opened();
        await subject.pay(charge.key, 'decline');
        await expect(provider.find(charge.key)).resolves.toEqual(pending);
        pageOf(await provider.checkout(charge));
        await subject.pay(charge.key, 'approve');
        await expect(provider.find(charge.key)).resolves.toEqual(charged);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });

      it('is pending while the bank asks the buyer, and charged once that is approved', async () => {
        const charge = await opened();
        await subject.pay(charge.key, 'challenge');
        await expect(provider.find(charge.key)).resolves.toEqual(pending);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(0);
        pageOf(await provider.checkout(charge));
        await subject.pay(charge.key, 'approve-challenge');
        await expect(provider.find(charge.key)).resolves.toEqual(charged);
      });

      it.each([{ amountMinor: 2000 }, { currency: 'EUR' }])(
        'throws for a key with another amount or currency: %j',
        async (other) => {
          const charge = await opened();
          await expect(provider.checkout({ ...charge, ...other })).rejects.toThrow();
          await subject.pay(charge.key, 'approve');
          await expect(provider.find(charge.key)).resolves.toEqual(charged);
          await expect(provider.checkout({ ...charge, ...other })).rejects.toThrow();
        },
      );

      it('shows no page of another amount than the one that is paid', async () => {
        for (let round = 0; round < 5; round++) {
          const charge = newCharge();
          const amounts = [1000, 2000];
          const answers = await Promise.allSettled(
            amounts.map((amountMinor) => provider.checkout({ ...charge, amountMinor })),
          );
          const shown = amounts.filter((_, index) => answers[index]?.status === 'fulfilled');
          await subject.pay(charge.key, 'approve');
          for (const amount of shown) {
            await expect(subject.moneyHeld(charge.key)).resolves.toBe(amount);
          }
        }
      });

      it('answers for a key that was charged or declined by what became of it', async () => {
        const [taken, refused] = [newCharge(), newCharge()];
        const paid = await provider.charge(taken);
        await subject.decline(refused.key, 'card_declined');
        const no = await provider.charge(refused);
        await expect(provider.checkout(taken)).resolves.toMatchObject(paid);
        await expect(provider.checkout(refused)).resolves.toMatchObject(no);
      });
    });

    describe('charge and checkout of one key', () => {
      it('never both take money', async () => {
        for (let round = 0; round < 20; round++) {
          const charge = newCharge();
          const calls: (() => Promise<unknown>)[] = [
            () => provider.charge(charge),
            () => provider.checkout(charge).then(() => subject.pay(charge.key, 'approve')),
          ];
          if (round % 2 === 1) calls.reverse();
          await Promise.allSettled(calls.map((call) => call()));
          const held = await subject.moneyHeld(charge.key);
          expect([0, 1000]).toContain(held);
          const found = await provider.find(charge.key);
          expect(found?.kind === 'charged').toBe(held === 1000);
        }
      });

      it('leave an open payment to its buyer', async () => {
        const charge = await opened();
        await provider.charge(charge).catch(() => undefined);
        await subject.pay(charge.key, 'approve');
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });
    });

    describe('cancel', () => {
      it('ends a payment that was not made, for ever, and repeats its answer', async () => {
        const charge = await opened();
        const first = await provider.cancel(charge.key);
        expect(first).toEqual(declined);
        await expect(provider.cancel(charge.key)).resolves.toEqual(first);
        await expectClosed(charge);
      });

      it.each(['decline', 'challenge'] as const)('ends a payment after %s', async (action) => {
        const charge = await opened();
        await subject.pay(charge.key, action);
        await expect(provider.cancel(charge.key)).resolves.toEqual(declined);
        await subject.pay(charge.key, 'approve-challenge');
        await expectClosed(charge);
      });

      it('comes too late for a payment that was made, and gives nothing back', async () => {
        const charge = await opened();
        await subject.pay(charge.key, 'approve');
        await expect(provider.cancel(charge.key)).resolves.toEqual(charged);
        await expect(subject.moneyHeld(charge.key)).resolves.toBe(1000);
      });

      it('leaves a charge as it is', async () => {
        const [taken, refused] = [newCharge(), newCharge()];
        const paid = await provider.charge(taken);
        await subject.decline(refused.key, 'card_declined');
        const no = await provider.charge(refused);
        await expect(provider.cancel(taken.key)).resolves.toMatchObject(paid);
        await expect(provider.cancel(refused.key)).resolves.toEqual(no);
        await expect(subject.moneyHeld(taken.key)).resolves.toBe(1000);
      });

      it('blocks a key that was never seen', async () => {
        const charge = newCharge();
        await expect(provider.cancel(charge.key)).resolves.toEqual(declined);
        await expectClosed(charge);
      });

      it('cannot end a payment that a bank is deciding on, nor can a refund', async () => {
        const charge = await opened();
        await subject.pay(charge.key, 'processing');
        await expect(provider.cancel(charge.key)).resolves.toEqual(pending);
        await expect(provider.find(charge.key)).resolves.toEqual(pending);
        await expect(provider.refund(charge.key)).rejects.toThrow();
      });

      it('never both cancels and takes money when it races the buyer', async () => {
        const charges = await Promise.all(Array.from({ length: 20 }, () => opened()));
        const answers = await Promise.all(
          charges.map(async ({ key }, index) => {
            const calls = [() => provider.cancel(key), () => subject.pay(key, 'approve')];
            // Each way round, so that neither side has a head start every time.
            if (index % 2 === 1) calls.reverse();
            const [one, other] = await Promise.all(calls.map((call) => call()));
            return one ?? other;
          }),
        );
        for (const [index, { key }] of charges.entries()) {
          const held = await subject.moneyHeld(key);
          expect(answers[index]).toEqual(held === 1000 ? charged : declined);
          expect([0, 1000]).toContain(held);
          await expect(provider.find(key)).resolves.toEqual(answers[index]);
        }
      });

      it('blocks or is followed by a payment, and no third, when it races the checkout', async () => {
        for (let round = 0; round < 10; round++) {
          const charge = newCharge();
          const calls = [() => provider.cancel(charge.key), () => provider.checkout(charge)];
          if (round % 2 === 1) calls.reverse();
          await Promise.all(calls.map((call) => call()));
          await expectClosed(charge);
        }
      });
    });

    describe('refund', () => {
      it('closes an open payment without money', async () => {
        const charge = await opened();
        await expect(provider.refund(charge.key)).resolves.toBe('nothing');
        await expectClosed(charge);
      });

      it('gives back what the buyer has paid, once', async () => {
        const charge = await opened();
        await subject.pay(charge.key, 'approve');
        await expect(provider.refund(charge.key)).resolves.toBe('refunded');
        await expect(provider.refund(charge.key)).resolves.toBe('nothing');
        await expectClosed(charge);
      });

      it('leaves no money behind when it races the buyer', async () => {
        const charges = await Promise.all(Array.from({ length: 20 }, () => opened()));
        await Promise.all(
          charges.flatMap(({ key }) => [provider.refund(key), subject.pay(key, 'approve')]),
        );
        const held = charges.map(({ key }) => subject.moneyHeld(key));
        expect(new Set(await Promise.all(held))).toEqual(new Set([0]));
      });
    });
  });
}

function pageOf(result: CheckoutResult) {
  if (result.kind === 'pending') return result.page;
  throw new Error(`The payment is not open: ${JSON.stringify(result)}`);
}
