import type {
  Charge,
  ChargeResult,
  CheckoutProvider,
  FoundCharge,
  PaymentProvider,
} from '../../engine/payments/payment-provider';
import type { BuyerAction } from '../engine/payments/checkout.contract';

type Status =
  'open' | 'processing' | 'captured' | 'declined' | 'cancelled' | 'refunded' | 'blocked';

interface FakePayment {
  status: Status;
  readonly amountMinor: number;
  readonly currency: string;
  /** The bank waits for the buyer's answer. */
  isChallenged?: boolean;
}

/**
 * A payment provider in memory that runs hooks with its next calls. It passes the contract tests of the port. Unlike a real
 * provider it responds at once and keeps nothing after the process ends.
 */
export function createFakePaymentProvider() {
  const payments = new Map<string, FakePayment>();
  const faults: ((verb: Verb, key: string) => Promise<void> | void)[] = [];
  let codeOf: (key: string) => string | undefined = () => undefined;

  /** The payment under a key, if it is of this amount; a key that was blocked is of any. */
  const known = ({ key, amountMinor, currency }: Charge): FakePayment | undefined => {
    const payment = payments.get(key);
    if (!payment || payment.status === 'blocked') return payment;
    if (payment.amountMinor === amountMinor && payment.currency === currency) return payment;
    throw new Error(`${key} is taken`);
  };
  const resultOf = (key: string, { status, ...amount }: FakePayment): FoundCharge => {
    if (status === 'open' || status === 'processing') return { kind: 'pending' };
    if (status !== 'captured') {
      return { kind: 'declined', code: (status === 'declined' && codeOf(key)) || status };
    }
    const { amountMinor, currency } = amount;
    return { kind: 'charged', paymentId: `pay-${key}`, amountMinor, currency };
  };
  /** Ends what holds no money. */
  const close = (key: string): FakePayment => {
    const payment = payments.get(key) ?? { status: 'blocked', amountMinor: 0, currency: '' };
    if (payment.status === 'open') payment.status = 'cancelled';
    payments.set(key, payment);
    return payment;
  };

  const provider: PaymentProvider & CheckoutProvider = {
    async charge(charge) {
      const { key, amountMinor, currency } = charge;
      const before = known(charge);
      const status = codeOf(key) === undefined ? 'captured' : 'declined';
      const payment = before ?? { status, amountMinor, currency };
      payments.set(key, payment);
      await faults.shift()?.('charge', key);
      const result = resultOf(key, payment);
      if (result.kind === 'pending') throw new Error(`${key} is its buyer's to pay`);
      return withoutAmount(result);
    },
    async checkout(charge) {
      const { key, amountMinor, currency } = charge;
      const payment = known(charge) ?? { status: 'open', amountMinor, currency };
      payments.set(key, payment);
      await faults.shift()?.('checkout', key);
      const result = resultOf(key, payment);
      if (result.kind !== 'pending') return result;
      return { ...result, page: { provider: 'simulator', url: `https://pay.example/${key}` } };
    },
    async cancel(key) {
      await faults.shift()?.('cancel', key);
      return resultOf(key, close(key));
    },
    async find(key) {
      await faults.shift()?.('find', key);
      const payment = payments.get(key);
      return payment && resultOf(key, payment);
    },
    async refund(key) {
      await faults.shift()?.('refund', key);
      const payment = close(key);
      if (payment.status === 'processing') throw new Error(`the bank has not decided on ${key}`);
      if (payment.status !== 'captured') return 'nothing';
      payment.status = 'refunded';
      return 'refunded';
    },
  };

  return {
    provider,
    /** Sets which keys a charge declines from now on, and with which code. */
    declineIf: (test: (key: string) => boolean | string) => {
      codeOf = (key) => {
        const code = test(key);
        return code === true ? 'declined' : code || undefined;
      };
    },
    /** Acts as the buyer of an open payment. */
    pay: (key: string, action: BuyerAction): void => {
      const payment = payments.get(key);
      // The bank has decided.
      if (payment?.status === 'processing' && action === 'approve') payment.status = 'captured';
      if (payment?.status !== 'open') return;
      if (action === 'approve-challenge' && !payment.isChallenged) return;
      payment.isChallenged = action === 'challenge';
      if (action === 'processing') payment.status = 'processing';
      if (action === 'approve' || action === 'approve-challenge') payment.status = 'captured';
    },
    /**
     * Hooks for the next calls, one for each call. They run after a charge or a checkout takes effect, and before anything else
     * does.
     */
    faultNext: (...next: typeof faults) => faults.push(...next),
    /** The status of each key of this request_id, by generation; several keys of a generation: all of them. */
    moneyOf: (requestId: string) => {
      const found: Record<string, string> = {};
      for (const [key, { status }] of payments) {
        if (!key.startsWith(`${requestId}:`)) continue;
        const generation = key.slice(key.lastIndexOf(':') + 1);
        const before = found[generation];
        found[generation] = before === undefined ? status : `${before}, ${status}`;
      }
      return found;
    },
    amountOf: (key: string) => payments.get(key)?.amountMinor,
    currencyOf: (key: string) => payments.get(key)?.currency,
    /** The money held under a key, in minor units. */
    moneyHeld: (key: string): number => {
      const payment = payments.get(key);
      return payment?.status === 'captured' ? payment.amountMinor : 0;
    },
  };
}

type Verb = keyof PaymentProvider | keyof CheckoutProvider;

function withoutAmount(result: Exclude<FoundCharge, { kind: 'pending' }>): ChargeResult {
  if (result.kind === 'declined') return result;
  return { kind: 'charged', paymentId: result.paymentId };
}
