import type { AfterSaleProvider, PaymentProvider } from '../../../engine/payments/payment-provider';
import { newCharge, type ProviderUnderTest } from './payment-provider.contract';

export interface AfterSaleUnderTest extends ProviderUnderTest {
  readonly provider: PaymentProvider & AfterSaleProvider;
  /** What refunds of sales are at first, from now on. */
  readonly refundsAre: (status: 'succeeded' | 'pending') => Promise<void> | void;
  /** The bank's word on a refund. */
  readonly decideRefund: (
    key: string,
    refundId: string,
    status: 'succeeded' | 'failed',
  ) => Promise<void> | void;
  /** The buyer objects, or the bank decides on that. */
  readonly dispute: (key: string, status: 'open' | 'won' | 'lost') => Promise<void> | void;
}

/** What every provider must do with the money of a sale. */
export function describeAfterSale(name: string, start: () => Promise<AfterSaleUnderTest>) {
  describe(`${name} as a provider of refunds after the sale`, () => {
    let subject: AfterSaleUnderTest;
    let provider: AfterSaleUnderTest['provider'];
    beforeAll(async () => {
      subject = await start();
      provider = subject.provider;
    });
    afterAll(() => subject.close());
    afterEach(() => subject.refundsAre('succeeded'));

    /** The key of a charge of 10.00 USD. */
    const charged = async (): Promise<string> => {
      const charge = newCharge();
      await provider.charge(charge);
      return charge.key;
    };
    const refund = (key: string, refundKey: string, amountMinor?: number, currency = 'USD') =>
      provider.refundSale({
        key,
        refundKey,
        currency,
        ...(amountMinor !== undefined && { amountMinor }),
      });
    const made = (refundKey: string, amountMinor: number, status = 'succeeded') => ({
      refundId: expect.any(String) as string,
      refundKey,
      amountMinor,
      currency: 'USD',
      status,
      at: expect.any(Number) as number,
    });
    const refused = { kind: 'refused', code: expect.any(String) as string };
    const isMade = (answer: object) => 'refundId' in answer;

    describe('refundSale', () => {
      it('gives back a part, and leaves the charge as it was', async () => {
        const key = await charged();
        const before = await provider.find(key);
        await expect(refund(key, 'op-1', 400)).resolves.toEqual(made('op-1', 400));
        await expect(provider.find(key)).resolves.toEqual(before);
        await expect(subject.moneyHeld(key)).resolves.toBe(600);
      });

      it('is one refund, however often its refund key is asked for', async () => {
        const key = await charged();
        const answers = await Promise.all(
          Array.from({ length: 20 }, () => refund(key, 'op-1', 400)),
        );
        const [first] = answers;
        for (const answer of answers) expect(answer).toEqual(first);
        await expect(refund(key, 'op-1')).resolves.toEqual(first);
        await expect(subject.moneyHeld(key)).resolves.toBe(600);
      });

      it('gives back all that is left where no amount is named', async () => {
        const key = await charged();
        await refund(key, 'op-1', 400);
        await expect(refund(key, 'op-2')).resolves.toEqual(made('op-2', 600));
        await expect(provider.find(key)).resolves.toMatchObject({ kind: 'declined' });
        await expect(refund(key, 'op-3')).resolves.toEqual(refused);
        await expect(provider.refund(key)).resolves.toBe('nothing');
        await expect(subject.moneyHeld(key)).resolves.toBe(0);
      });

      it('refuses more than is left, and another currency', async () => {
        const key = await charged();
        await expect(refund(key, 'op-1', 1001)).resolves.toEqual(refused);
        await refund(key, 'op-2', 400);
        await expect(refund(key, 'op-3', 601)).resolves.toEqual(refused);
        await expect(refund(key, 'op-4', 100, 'EUR')).resolves.toEqual(refused);
        await expect(subject.moneyHeld(key)).resolves.toBe(600);
      });

      it('never gives back more than was paid when twenty are asked for at the same time', async () => {
        const key = await charged();
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, index) => refund(key, `op-${index}`, 300)),
        );
        expect(answers.filter(isMade)).toHaveLength(3);
        await expect(subject.moneyHeld(key)).resolves.toBe(100);
      });

      it('refuses to give back what was never taken', async () => {
        const [unseen, declined] = [newCharge(), newCharge()];
        await subject.decline(declined.key, 'card_declined');
        await provider.charge(declined);
        await expect(refund(unseen.key, 'op-1')).resolves.toEqual(refused);
        await expect(refund(declined.key, 'op-1')).resolves.toEqual(refused);
      });

      it('leaves the rest to a refund that closes the key', async () => {
        const key = await charged();
        await refund(key, 'op-1', 400);
        await expect(provider.refund(key)).resolves.toBe('refunded');
        await expect(provider.refund(key)).resolves.toBe('nothing');
        await expect(provider.find(key)).resolves.toMatchObject({ kind: 'declined' });
        await expect(subject.moneyHeld(key)).resolves.toBe(0);
      });

      it('may be pending, holds its amount meanwhile, and fail later', async () => {
        const key = await charged();
        await subject.refundsAre('pending');
        const pending = await refund(key, 'op-1', 400);
        expect(pending).toEqual(made('op-1', 400, 'pending'));
        await expect(refund(key, 'op-2', 601)).resolves.toEqual(refused);
        const id = 'refundId' in pending ? pending.refundId : '';
        await subject.decideRefund(key, id, 'failed');
        const failed = { ...pending, status: 'failed', code: expect.any(String) as string };
        await expect(refund(key, 'op-1', 400)).resolves.toEqual(failed);
        await expect(subject.moneyHeld(key)).resolves.toBe(1000);
        await subject.refundsAre('succeeded');
        await expect(refund(key, 'op-3', 1000)).resolves.toEqual(made('op-3', 1000));
      });

      it('may succeed later', async () => {
        const key = await charged();
        await subject.refundsAre('pending');
        const pending = await refund(key, 'op-1', 400);
        await subject.decideRefund(key, 'refundId' in pending ? pending.refundId : '', 'succeeded');
        await expect(refund(key, 'op-1', 400)).resolves.toEqual({
          ...pending,
          status: 'succeeded',
        });
        await expect(subject.moneyHeld(key)).resolves.toBe(600);
      });
    });

    describe('returns', () => {
      it('lists refunds, the oldest first, whoever made them', async () => {
        const key = await charged();
        const one = await refund(key, 'op-1', 400);
        const other = await refund(key, 'op-2', 100);
        await provider.refund(key);
        const { refunds, disputes } = await provider.returns(key);
        expect(refunds).toEqual([one, other, { ...made('', 500), refundKey: undefined }]);
        expect(disputes).toEqual([]);
      });

      it('is empty for a key without a charge', async () => {
        const nothing = { refunds: [], disputes: [] };
        await expect(provider.returns(newCharge().key)).resolves.toEqual(nothing);
      });

      it.each(['won', 'lost'] as const)(
        'shows a dispute, which stops refunds until it is %s',
        async (verdict) => {
          const key = await charged();
          await subject.dispute(key, 'open');
          const dispute = {
            disputeId: expect.any(String) as string,
            amountMinor: 1000,
            currency: 'USD',
            status: 'open',
            at: expect.any(Number) as number,
            reason: expect.any(String) as string,
          };
          await expect(provider.returns(key)).resolves.toEqual({
            refunds: [],
            disputes: [dispute],
          });
          await expect(refund(key, 'op-1', 400)).resolves.toEqual(refused);
          await subject.dispute(key, verdict);
          const { disputes } = await provider.returns(key);
          expect(disputes).toEqual([{ ...dispute, status: verdict }]);
          expect(isMade(await refund(key, 'op-2', 400))).toBe(verdict === 'won');
        },
      );
    });
  });
}
