import {
  ApplicationFailure,
  CancellationScope,
  defineSignal,
  proxyActivities,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type { RefundActivities } from '../activities/refund-activities';
import {
  READ_SIGNAL,
  REFUND_FAILED,
  type RefundInput,
  type RefundResult,
  type SaleInput,
} from '../engine/orders/refund';

/** While provider, Redis, Kafka or archive is away, each step is tried once a minute, and never given up: it is asked for. */
const { refundSale, noteReturns, restockSale } = proxyActivities<RefundActivities>({
  startToCloseTimeout: '30 s',
  retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '1 minute' },
});

/**
 * When a refund that is pending is looked at again, should nobody tell of it. Banks take some days; a month is as long as
 * Stripe lists its events.
 */
const LOOKS = [
  '1 minute',
  '10 minutes',
  '1 hour',
  '6 hours',
  ...Array<'1 day'>(30).fill('1 day'),
] as const;

/**
 * One refund that an operator has asked for. A refund that fails is not tried again: at a closed account the next one fails as
 * well, so that an operator decides, under another operation id. Units are put back once the money is given back.
 */
export function refundWorkflow(input: RefundInput): Promise<RefundResult> {
  return CancellationScope.nonCancellable(async () => {
    let refund = await refundSale.executeWithOptions({ summary: `refund ${input.requestId}` }, [
      input,
    ]);
    const { itemId, requestId, orderId, restock = 0 } = input;
    const note = async () => {
      const returns = await noteReturns({ itemId, requestId, orderId, refund });
      refund = returns.find(({ kind, id }) => kind === refund.kind && id === refund.id) ?? refund;
    };
    await note();
    for (const look of LOOKS) {
      if (refund.status !== 'pending') break;
      await sleep(look);
      await note();
    }
    if (refund.status === 'failed') {
      throw ApplicationFailure.nonRetryable(refund.reason ?? 'failed', REFUND_FAILED);
    }
    if (refund.status !== 'succeeded' || restock === 0) return { refund, restocked: 0 };
    await restockSale.executeWithOptions({ summary: `put ${String(restock)} units back` }, [
      { ...input, restock },
    ]);
    return { refund, restocked: restock };
  });
}

/** Reads what has become of the money of a sale, once for any number of hints that come meanwhile. */
export async function returnsWorkflow(sale: SaleInput): Promise<void> {
  let isAsked = true;
  setHandler(defineSignal(READ_SIGNAL), () => {
    isAsked = true;
  });
  while (isAsked) {
    isAsked = false;
    await noteReturns(sale);
  }
}
