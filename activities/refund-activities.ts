import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Sales } from '../engine/archive/sales';
import type { ReturnPublisher } from '../engine/kafka/outcome-publisher';
import { paymentKey } from '../engine/orders/order';
import { REASON_LENGTH_MAX } from '../engine/orders/return-event';
import {
  REFUND_REFUSED,
  RESTOCK_REFUSED,
  restockOperation,
  type RefundInput,
  type SaleInput,
} from '../engine/orders/refund';
import { newReturns, type SaleReturn } from '../engine/orders/sale-return';
import {
  NOT_CHARGED,
  type AfterSaleProvider,
  type DisputeState,
  type RefundState,
} from '../engine/payments/payment-provider';

/** How long a sale's payment is looked for: a provider's index is behind for an hour at most. */
const SEARCHED_MS_MAX = 90 * 60_000;

export type RefundActivities = ReturnType<typeof createRefundActivities>;

/** What happens to the money of a sold order. Each is one idempotent effect, as the steps of the saga are. */
export function createRefundActivities({
  sales,
  provider,
  returns: publisher,
  onOddReturn,
  searchedMsMax = SEARCHED_MS_MAX,
}: {
  readonly sales: Sales;
  readonly provider: AfterSaleProvider;
  readonly returns: ReturnPublisher;
  /** Called with what makes no sense, and is not told: a return in another currency than its sale. */
  readonly onOddReturn: (returned: RefundState | DisputeState) => void;
  readonly searchedMsMax?: number;
}) {
  const saleOf = async (step: SaleInput) => {
    const sale = await sales.find(step);
    if (!sale) return undefined;
    const key = paymentKey(step.requestId, step.orderId, sale.generation);
    return { ...sale, key, keySince: sale.order.acceptedAt };
  };

  return {
    /** Asks the provider for the refund, once for its operation. What it refuses for good is not tried again. */
    async refundSale(step: RefundInput): Promise<SaleReturn> {
      const sale = await saleOf(step);
      if (!sale) throw refused('not-sold');
      const { amountMinor, operationId: refundKey, restock = 0 } = step;
      // Before the money: later it could only be told.
      const left = sale.owned + (await sales.unitsOf(step, restockOperation(step)));
      if (restock > left) throw refused('too-many-units');
      const { currency } = sale.order;
      const amount = amountMinor !== undefined && { amountMinor };
      const { key, keySince, paymentId } = sale;
      const refund = { key, keySince, paymentId, refundKey, currency, ...amount };
      const result = await provider.refundSale(refund);
      // It is sold, so that it was paid: the provider's index is behind, or it was paid at another provider or account.
      if ('kind' in result && result.code === NOT_CHARGED) {
        const isSearched = Date.now() - activityInfo().scheduledTimestampMs < searchedMsMax;
        if (isSearched) throw new Error('the payment is not found');
      }
      if ('kind' in result) throw refused(result.code);
      if (amountMinor !== undefined && result.amountMinor !== amountMinor) {
        throw refused('operation-reused');
      }
      return toReturn(result, currency);
    },

    /**
     * Reads what the provider has of a sale's refunds and disputes, tells what is new, and notes it. `refund`: of which the
     * caller knows, though the provider may not list it yet. Returns all of them; none of a sale that is not known.
     */
    async noteReturns({
      refund,
      ...step
    }: SaleInput & { readonly refund?: SaleReturn }): Promise<SaleReturn[]> {
      const sale = await saleOf(step);
      if (!sale) return [];
      const { key, keySince, order, paymentId, returns: known } = sale;
      const { refunds, disputes } = await provider.returns(key, keySince, paymentId);
      const listed = [...refunds, ...disputes].flatMap((one) => {
        if (one.currency === order.currency) return [toReturn(one, order.currency)];
        // The others are told all the same.
        onOddReturn(one);
        return [];
      });
      const read = refund ? [...listed, ...newReturns([refund], listed)] : listed;
      const news = newReturns(read, known);
      // Noted last: what was noted and not told would never be told.
      for (const returned of news) await publisher.publishReturn({ order, paymentId, returned });
      if (news.length > 0) await sales.noteReturns(step, news);
      return read;
    },

    async restockSale(step: RefundInput & { readonly restock: number }): Promise<void> {
      const { itemId, requestId, orderId, restock: units, by, why } = step;
      const operation = restockOperation(step);
      const result = await sales.restock({ itemId, requestId, orderId, operation, units, by, why });
      if (result !== 'restocked') throw ApplicationFailure.nonRetryable(result, RESTOCK_REFUSED);
    },
  };
}

function refused(code: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(code, REFUND_REFUSED);
}

/** Throws for another currency than the sale's: what the provider says of it makes no sense. */
function toReturn(state: RefundState | DisputeState, currency: string): SaleReturn {
  const { amountMinor, at } = state;
  if (state.currency !== currency) {
    throw new Error(`The provider has ${state.currency} of a sale in ${currency}`);
  }
  if ('disputeId' in state) {
    const { disputeId: id, status, reason } = state;
    return { kind: 'dispute', id, amountMinor, status, at, ...reasonOf(reason) };
  }
  const { refundId: id, refundKey, status, code } = state;
  const operation = refundKey !== undefined && { operationId: refundKey };
  return { kind: 'refund', id, amountMinor, status, at, ...operation, ...reasonOf(code) };
}

function reasonOf(text: string | undefined) {
  return text !== undefined && { reason: text.slice(0, REASON_LENGTH_MAX) };
}
