import { activityInfo } from '@temporalio/activity';
import { totalMinor, type Order, paymentKey } from '../engine/orders/order';
import type { ChargeResult, PaymentProvider } from '../engine/payments/payment-provider';
import type { OrderGeneration, StockLedger } from '../engine/stock/stock-ledger';
export type PaymentActivities = ReturnType<typeof createPaymentActivities>;

/** The saga's steps that move money. */
export function createPaymentActivities(provider: PaymentProvider, ledger: StockLedger) {
  return {
    /** Charges one generation of an order. A provider without a definite answer throws, and the server tries again. */
    async chargePayment(step: {
      order: Order;
      generation: number;
      /** The generation may have been charged by somebody who got no answer. Absent in orders older than the question. */
      inDoubt?: boolean;
    }): Promise<ChargeResult> {
      const { order, generation, inDoubt = false } = step;
      const key = paymentKey(order.requestId, generation);
      // An earlier attempt may have been charged and its answer lost: ask before the charge is sent again.
      const asked = inDoubt || activityInfo().attempt > 1;
      const earlier = asked ? await provider.find(key) : undefined;
      return (
        earlier ??
        provider.charge({
          key,
          amountMinor: totalMinor(order),
          currency: order.currency,
          context: { requestId: order.requestId, itemId: order.itemId, userId: order.userId },
        })
      );
    },

    /**
     * Settles one generation: its money goes back, or can never be taken. The generation that is reserved or sold is
     * left alone. Refund first, strike after: if we die between the two, the refund is only asked for again.
     */
    async refundPayment(step: OrderGeneration): Promise<'refunded' | 'nothing' | 'kept'> {
      if (!(await ledger.isRefundable(step))) return 'kept';
      const refund = await provider.refund(paymentKey(step.requestId, step.generation));
      await ledger.resolveCharge(step);
      return refund;
    },
  };
}
