import type { ChargeResult, PaymentProvider } from '../../engine/payments/payment-provider';

type Status = 'captured' | 'declined' | 'refunded' | 'blocked';

/**
 * A provider with a book of its own and a fault for the next calls. It keeps the promises of the port, as the contract
 * tests show; unlike a real one it forgets everything with the process and answers at once.
 */
export function createProviderUnderFault() {
  const book = new Map<string, { status: Status; amountMinor: number; currency: string }>();
  const faults: ((verb: 'charge' | 'find' | 'refund', key: string) => Promise<void> | void)[] = [];
  let declines: (key: string) => boolean = () => false;

  const answer = (key: string, status: Status): ChargeResult =>
    status === 'captured'
      ? { kind: 'charged', paymentId: `pay-${key}` }
      : { kind: 'declined', code: status };

  const provider: PaymentProvider = {
    async charge({ key, amountMinor, currency }) {
      const status = book.get(key)?.status ?? (declines(key) ? 'declined' : 'captured');
      book.set(key, { status, amountMinor, currency });
      await faults.shift()?.('charge', key);
      return answer(key, status);
    },
    async find(key) {
      await faults.shift()?.('find', key);
      const found = book.get(key);
      return found && answer(key, found.status);
    },
    async refund(key) {
      await faults.shift()?.('refund', key);
      const found = book.get(key);
      if (!found) book.set(key, { status: 'blocked', amountMinor: 0, currency: '' });
      else if (found.status === 'captured') found.status = 'refunded';
      return found?.status === 'refunded' ? 'refunded' : 'nothing';
    },
  };

  return {
    provider,
    /** Which keys are declined from now on. */
    declineIf: (test: (key: string) => boolean) => {
      declines = test;
    },
    /** Runs with the next calls, one each: after a charge has taken effect, before a refund does. */
    faultNext: (...next: typeof faults) => faults.push(...next),
    /** Every key that begins with this request_id, with its status. */
    moneyOf: (requestId: string) =>
      Object.fromEntries(
        [...book]
          .filter(([key]) => key.startsWith(`${requestId}:`))
          .map(([key, { status }]) => [key.slice(requestId.length + 1), status]),
      ),
    amountOf: (key: string) => book.get(key)?.amountMinor,
    currencyOf: (key: string) => book.get(key)?.currency,
  };
}
