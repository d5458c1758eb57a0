import type { ChargeResult, PaymentProvider } from '../../engine/payments/payment-provider';

type Status = 'captured' | 'declined' | 'refunded' | 'blocked';

/**
 * A payment provider in memory that runs hooks with its next calls. It passes the contract tests of the port. Unlike a real
 * provider it responds at once and keeps nothing after the process ends.
 */
export function createProviderUnderFault() {
  const charges = new Map<string, { status: Status; amountMinor: number; currency: string }>();
  const faults: ((verb: 'charge' | 'find' | 'refund', key: string) => Promise<void> | void)[] = [];
  let declines: (key: string) => boolean = () => false;

  const resultOf = (key: string, status: Status): ChargeResult =>
    status === 'captured'
      ? { kind: 'charged', paymentId: `pay-${key}` }
      : { kind: 'declined', code: status };

  const provider: PaymentProvider = {
    async charge({ key, amountMinor, currency }) {
      const known = charges.get(key);
      const isTaken = known && known.status !== 'blocked';
      if (isTaken && (known.amountMinor !== amountMinor || known.currency !== currency)) {
        throw new Error(`${key} is taken`);
      }
      const status = known?.status ?? (declines(key) ? 'declined' : 'captured');
      charges.set(key, { status, amountMinor, currency });
      await faults.shift()?.('charge', key);
      return resultOf(key, status);
    },
    async find(key) {
      await faults.shift()?.('find', key);
      const found = charges.get(key);
      if (!found) return undefined;
      const { status, amountMinor, currency } = found;
      const result = resultOf(key, status);
      return result.kind === 'charged' ? { ...result, amountMinor, currency } : result;
    },
    async refund(key) {
      await faults.shift()?.('refund', key);
      const found = charges.get(key);
      if (!found) charges.set(key, { status: 'blocked', amountMinor: 0, currency: '' });
      else if (found.status === 'captured') found.status = 'refunded';
      return found?.status === 'refunded' ? 'refunded' : 'nothing';
    },
  };

  return {
    provider,
    /** Sets which keys are declined from now on. */
    declineIf: (test: (key: string) => boolean) => {
      declines = test;
    },
    /** Hooks for the next calls, one for each call. They run after a charge takes effect and before a refund does. */
    faultNext: (...next: typeof faults) => faults.push(...next),
    /** The status of each key of this request_id, by generation; several keys of a generation: all of them. */
    moneyOf: (requestId: string) => {
      const found: Record<string, string> = {};
      for (const [key, { status }] of charges) {
        if (!key.startsWith(`${requestId}:`)) continue;
        const generation = key.slice(key.lastIndexOf(':') + 1);
        const before = found[generation];
        found[generation] = before === undefined ? status : `${before}, ${status}`;
      }
      return found;
    },
    amountOf: (key: string) => charges.get(key)?.amountMinor,
    currencyOf: (key: string) => charges.get(key)?.currency,
  };
}
