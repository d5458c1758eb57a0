import type { AfterSaleProvider, RefundState } from '../../engine/payments/payment-provider';
import { send, startSimulator } from '../engine/payments/running-simulator';

/** The payment simulator in a test file, with what a bank, a buyer or somebody at the provider's dashboard does there. */
export function useAfterSaleMoney() {
  let simulator: Awaited<ReturnType<typeof startSimulator>>;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterEach(() => simulator.misbehave());
  afterAll(() => simulator.close());
  const refundsOf = async (key: string): Promise<readonly RefundState[]> =>
    (await simulator.provider.returns(key)).refunds;
  return {
    get provider(): AfterSaleProvider {
      return simulator.provider;
    },
    refundsOf,
    /** Takes 20.00 for a sale. */
    charge: async (key: string, currency = 'USD'): Promise<void> => {
      const context = { requestId: 'any', itemId: 'any', userId: 'any' };
      await simulator.provider.charge({ key, amountMinor: 2_000, currency, keySince: 0, context });
    },
    /** Refunds are pending from now on. */
    keepPending: () => simulator.misbehave({ kind: 'pending' }),
    /** The answer of the next refund is lost. */
    loseAnAnswer: () =>
      simulator.misbehave({ kind: 'fail-after', operation: 'refund-sale', times: 1 }),
    /** A refund in the dashboard. */
    refund: (key: string, amount: number) =>
      send(simulator.url, 'POST', `/charges/${key}/refunds`, { amount }),
    /** The bank refuses all refunds of a key. */
    fail: async (key: string): Promise<void> => {
      for (const { refundId } of await refundsOf(key)) {
        const path = `/charges/${key}/refunds/${refundId}`;
        await send(simulator.url, 'POST', path, { status: 'failed' });
      }
    },
    dispute: (key: string) =>
      send(simulator.url, 'POST', `/charges/${key}/dispute`, { reason: 'fraudulent' }),
    loseDispute: (key: string) =>
      send(simulator.url, 'POST', `/charges/${key}/dispute/close`, { status: 'lost' }),
  };
}
