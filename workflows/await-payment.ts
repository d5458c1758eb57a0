import {
  CancellationScope,
  condition,
  defineSignal,
  isCancellation,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { AWAITING_PAYMENT, ORDER_OUTCOME, PAYMENT_SIGNAL } from '../engine/orders/contract';
import type { ReserveResult } from '../engine/orders/ledger';
import { paymentKey, type Order } from '../engine/orders/order';
import type { PaymentState } from '../activities/order-activities';
import type { ProgressLog } from './parking';
import { cancelPayment, findPayment } from './steps';

/** A payment that is made in the last moment is on its way, and the clocks of Redis and Temporal need not agree. */
const GRACE_MS = 1_000;

/** A bank that thinks is asked again after a minute, then less often: each time costs the history eight events. */
const UNDECIDED_MS_MIN = 60_000;
const UNDECIDED_MS_MAX = 3_600_000;

/** The payment was ended at the provider: none can be made any more. */
interface EndedPayment {
  readonly kind: 'ended';
  readonly reason: 'payment-deadline' | 'cancelled';
  readonly error: string;
}

/**
 * Waits for the payment that the buyer makes: until a signal says that something has happened to it, which the provider is then
 * asked about, or until the deadline. At the deadline, and where the run is cancelled, the payment is first ended at the
 * provider: only then are its units anybody else's. Money that was taken in that moment still buys them.
 *
 * Between its tasks the order holds no slot, and while it waits it does not count as open. `reservedAt`: when the run was told
 * how much time is left; it may have resolved earlier charges since.
 */
export async function awaitPayment(
  order: Order,
  { generation, payBy = 0, payLeftMs = 0 }: Extract<ReserveResult, { readonly kind: 'reserved' }>,
  reservedAt: number,
  log: ProgressLog,
): Promise<Exclude<PaymentState, { readonly kind: 'pending' }> | EndedPayment> {
  const key = paymentKey(order.requestId, order.orderId, generation);
  let isAsked = false;
  setHandler(defineSignal<[string]>(PAYMENT_SIGNAL), (named) => {
    isAsked ||= named === key;
  });
  const endsAt = reservedAt + payLeftMs + GRACE_MS;

  const untilDeadline = async () => {
    while (await condition(() => isAsked, Math.max(1, endsAt - Date.now()))) {
      isAsked = false;
      const summary = `look at payment ${String(generation)}`;
      const found = await findPayment.executeWithOptions({ summary }, [{ order, generation }]);
      if (found.kind !== 'pending') return found;
    }
    return undefined;
  };

  const end = async (reason: EndedPayment['reason']) => {
    for (let waitMs = UNDECIDED_MS_MIN; ; waitMs = Math.min(2 * waitMs, UNDECIDED_MS_MAX)) {
      isAsked = false;
      const summary = `end payment ${String(generation)}: ${reason}`;
      const found = await cancelPayment.executeWithOptions({ summary }, [{ order, generation }]);
      if (found.kind === 'declined') return { kind: 'ended', reason, error: found.code } as const;
      if (found.kind !== 'pending') return found;
      log('the provider has not decided on the payment');
      await condition(() => isAsked, waitMs);
    }
  };

  upsertSearchAttributes([{ key: ORDER_OUTCOME, value: AWAITING_PAYMENT }]);
  log(`awaits its payment until ${new Date(payBy).toISOString()}`);
  let reason: EndedPayment['reason'] = 'payment-deadline';
  try {
    const found = await untilDeadline();
    if (found) return found;
  } catch (error) {
    if (!isCancellation(error)) throw error;
    reason = 'cancelled';
  } finally {
    upsertSearchAttributes([{ key: ORDER_OUTCOME, value: null }]);
  }
  log(`ends the payment: ${reason}`);
  return CancellationScope.nonCancellable(() => end(reason));
}
