import type { Charge, ChargeResult, PaymentProvider } from '../../engine/payments/payment-provider';

type Operation = 'charge' | 'find' | 'refund';

interface FakeCharge {
  readonly key: string;
  readonly status: 'captured' | 'declined' | 'refunded' | 'blocked';
  readonly amountMinor: number;
  readonly currency: string | undefined;
  readonly result: ChargeResult;
}

export interface FakePaymentProvider extends PaymentProvider {
  /** All keys that were charged, declined or blocked, oldest first. */
  readonly charges: () => readonly FakeCharge[];
  /** Declines a key that has not been charged yet. */
  readonly decline: (key: string, code?: string) => void;
  /** The next calls of an operation throw, `before` or `after` they take effect. */
  readonly breakNext: (operation: Operation, when: 'before' | 'after', times?: number) => void;
}

/**
 * A payment provider in memory. It passes the provider's contract. Unlike a real provider it responds within a turn of
 * the event loop, declines only the keys passed to `decline`, fails only by `breakNext` and never by silence, and keeps
 * nothing after the process ends.
 */
export function createFakePaymentProvider(): FakePaymentProvider {
  const charges = new Map<string, FakeCharge>();
  const declined = new Map<string, string>();
  let breaks: { operation: Operation; when: 'before' | 'after' }[] = [];

  const perform = async <T>(operation: Operation, work: () => T): Promise<T> => {
    const found = breaks.find((candidate) => candidate.operation === operation);
    breaks = breaks.filter((candidate) => candidate !== found);
    await Promise.resolve();
    if (found?.when === 'before') throw new Error(`The ${operation} was told to fail`);
    const result = work();
    if (found?.when === 'after') throw new Error(`The response of the ${operation} was lost`);
    return result;
  };
  const keep = (charge: FakeCharge) => {
    charges.set(charge.key, charge);
    return charge.result;
  };
  const decide = ({ key, amountMinor, currency }: Charge): ChargeResult => {
    const known = charges.get(key);
    const blocked = known?.status === 'blocked';
    if (known && !blocked && known.amountMinor !== amountMinor) throw new Error(`${key} is taken`);
    if (known && !blocked && known.currency !== currency) throw new Error(`${key} is taken`);
    if (known) return known.result;
    const code = declined.get(key);
    return code === undefined
      ? keep({ key, status: 'captured', amountMinor, currency, result: chargedAs(key) })
      : keep({ key, status: 'declined', amountMinor, currency, result: declinedWith(code) });
  };

  return {
    charge: (charge) => perform('charge', () => decide(charge)),
    find: (key) =>
      perform('find', () => {
        const known = charges.get(key);
        if (known?.result.kind !== 'charged') return known?.result;
        const { amountMinor, currency = '' } = known;
        return { ...known.result, amountMinor, currency };
      }),
    refund: (key) =>
      perform('refund', () => {
        const known = charges.get(key);
        if (known?.status === 'captured') {
          keep({ ...known, status: 'refunded', result: declinedWith('refunded') });
          return 'refunded';
        }
        const nothing = { amountMinor: 0, currency: undefined };
        if (!known) keep({ key, status: 'blocked', ...nothing, result: declinedWith('blocked') });
        return 'nothing';
      }),
    charges: () => [...charges.values()],
    decline: (key, code = 'card_declined') => declined.set(key, code),
    breakNext(operation, when, times = 1) {
      breaks.push(...Array.from({ length: times }, () => ({ operation, when })));
    },
  };
}

function chargedAs(key: string): ChargeResult {
  return { kind: 'charged', paymentId: `fake_${key}` };
}

function declinedWith(code: string): ChargeResult {
  return { kind: 'declined', code };
}
