import type { ConfirmResult, ReleaseResult, ReserveResult } from '../engine/orders/ledger';
import type { Order, ReleaseReason } from '../engine/orders/order';
import type { OrderGeneration, StockLedger } from '../engine/stock/stock-ledger';

export type StockActivities = ReturnType<typeof createStockActivities>;

/** The saga's steps on the ledger: each is one idempotent call, so each may run late, twice, or beside its own retry. */
export function createStockActivities(ledger: StockLedger) {
  return {
    reserveStock(step: { order: Order; fence: number }): Promise<ReserveResult> {
      return ledger.reserve(step.order, step.fence);
    },

    confirmSale(
      step: OrderGeneration & { fence: number; paymentId: string },
    ): Promise<ConfirmResult> {
      return ledger.confirm(step);
    },

    releaseStock(step: {
      order: Order;
      fence: number;
      reason: ReleaseReason;
      declined?: number;
    }): Promise<ReleaseResult> {
      return ledger.release(step);
    },
  };
}
