import { continueAsNew, proxyActivities, upsertSearchAttributes } from '@temporalio/workflow';
import type { PaymentActivities } from '../activities/payment-activities';
import { ORDER_OUTCOME, type FollowedEvents, type LatePayment } from '../engine/orders/contract';
import { refundPayment } from './steps';

/**
 * Gives back a payment that has come although nothing is sold for it: its order's run is over, or goes on with a later
 * generation. The ledger is asked once more. Returns what was done, as `refundPayment` does.
 */
export async function latePaymentWorkflow(payment: LatePayment): Promise<string> {
  const summary = `refund ${payment.requestId}, generation ${String(payment.generation)}`;
  const result = await refundPayment.executeWithOptions({ summary }, [payment]);
  if (result === 'refunded')
    upsertSearchAttributes([{ key: ORDER_OUTCOME, value: 'late-payment' }]);
  return result;
}

/** It is one long attempt; its heartbeat tells where the next one goes on, in whichever worker. */
const { followPayments } = proxyActivities<PaymentActivities>({
  startToCloseTimeout: '2 hours',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '1 s', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

/** Follows the provider's list of events: one reader for all workers, for ever. A run is an hour, which bounds its history. */
export async function paymentEventsWorkflow(from?: FollowedEvents): Promise<never> {
  const summary = 'events of the payment provider';
  const until = await followPayments.executeWithOptions({ summary }, [from]);
  return continueAsNew<typeof paymentEventsWorkflow>(until);
}
