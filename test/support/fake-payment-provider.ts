import type { Charge, ChargeResult, PaymentProvider } from '../../engine/payments/payment-provider';

type Operation = 'charge' | 'find' | 'refund';

interface FakeCharge {
  readonly key: string;
  readonly status: 'captured' | 'declined' | 'refunded' | 'blocked';
  readonly amountMinor: number;
  readonly currency: string | undefined;
  readonly answer: ChargeResult;
}

export interface FakePaymentProvider extends PaymentProvider {
  /** Every key that was charged, declined or blocked, oldest first. */
  readonly charges: () => readonly FakeCharge[];
  /** Declines a key that was not charged yet. */
  readonly decline: (key: string, code?: string) => void;
  /** The next calls of an operation throw: `before` they do anything, or `after` they took effect. */
  readonly breakNext: (operation: Operation, when: 'before' | 'after', times?: number) => void;
}

/**
 * A payment provider in memory, for tests of what stands above it. It passes the provider's contract and
 * differs from a real one in this: it answers within a turn of the event loop, nobody is declined unless
 * `decline` was called, faults come only from `breakNext`, never as silence, and nothing outlives it.
 */
export function createFakePaymentProvider(): FakePaymentProvider {
  const charges = new Map<string, FakeCharge>();
  const declined = new Map<string, string>();
  let faults: { operation: Operation; when: 'before' | 'after' }[] = [];

  const perform = async <T>(operation: Operation, work: () => T): Promise<T> => {
    const fault = faults.find((candidate) => candidate.operation === operation);
    faults = faults.filter((candidate) => candidate !== fault);
    await Promise.resolve();
    if (fault?.when === 'before') throw new Error(`The ${operation} was told to fail`);
    const answer = work();
    if (fault?.when === 'after') throw new Error(`The answer of the ${operation} was lost`);
    return answer;
  };
  const keep = (charge: FakeCharge) => {
    charges.set(charge.key, charge);
    return charge.answer;
  };
  const decide = ({ key, amountMinor, currency }: Charge): ChargeResult => {
    const known = charges.get(key);
    const blocked = known?.status === 'blocked';
    if (known && !blocked && known.amountMinor !== amountMinor) throw new Error(`${key} is taken`);
    if (known && !blocked && known.currency !== currency) throw new Error(`${key} is taken`);
    if (known) return known.answer;
    const code = declined.get(key);
    return code === undefined
      ? keep({ key, status: 'captured', amountMinor, currency, answer: chargedAs(key) })
      : keep({ key, status: 'declined', amountMinor, currency, answer: declinedWith(code) });
  };

  return {
    charge: (charge) => perform('charge', () => decide(charge)),
    find: (key) => perform('find', () => charges.get(key)?.answer),
    refund: (key) =>
      perform('refund', () => {
        const known = charges.get(key);
        if (known?.status === 'captured') {
          keep({ ...known, status: 'refunded', answer: declinedWith('refunded') });
          return 'refunded';
        }
        const nothing = { amountMinor: 0, currency: undefined };
        if (!known) keep({ key, status: 'blocked', ...nothing, answer: declinedWith('blocked') });
        return 'nothing';
      }),
    charges: () => [...charges.values()],
    decline: (key, code = 'card_declined') => declined.set(key, code),
    breakNext(operation, when, times = 1) {
      faults.push(...Array.from({ length: times }, () => ({ operation, when })));
    },
  };
}

function chargedAs(key: string): ChargeResult {
  return { kind: 'charged', paymentId: `fake_${key}` };
}

function declinedWith(code: string): ChargeResult {
  return { kind: 'declined', code };
}
