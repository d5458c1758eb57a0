import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
} from '@temporalio/client';
import {
  latePaymentWorkflowId,
  LATE_PAYMENT_WORKFLOW,
  ITEM_ID,
  ORDER_WORKFLOW,
  PAYMENT_SIGNAL,
  type LatePayment,
} from '../orders/contract';
import { sharedCounter } from '../../platform/metrics';
import type { LedgerEntry } from '../orders/ledger';
import {
  parseItemId,
  parseRequestId,
  type ItemId,
  type Order,
  type OrderId,
  type RequestId,
} from '../orders/order';
import type { SaleInput } from '../orders/refund';
import { orderIdInMemo } from '../orders/order-start';
import type { PaymentHint } from './payment-provider';

/**
 * What was done about a hint. `ignored`: there is nothing to do, or the payment is none of this engine's orders.
 * `refund-checked`: a refund of an order that is not sold is looked at again. `no-run`: the order waits for its payment, and
 * its run is over; an operator decides.
 */
export const HINT_OUTCOMES = [
  'run-asked',
  'no-run',
  'refund-started',
  'refund-checked',
  'returns-read',
  'ignored',
  'unknown-order',
] as const;
export type HintOutcome = (typeof HINT_OUTCOMES)[number];

/** Acts on a hint. Throws where that cannot be done now, as while Redis or Temporal is away; may be called again. */
export type ActOnHint = (hint: PaymentHint) => Promise<HintOutcome>;

/**
 * Acts on hints of the payment provider, which may be late, doubled, out of order or somebody else's: nothing is taken, given
 * back or confirmed here. The run that waits for the payment is told to ask the provider; of a payment without such a run, whose
 * order is not sold by it, a workflow asks the ledger once more and gives the money back.
 */
export function createPaymentHints({
  ledger,
  runs,
  noteReturns,
  endOf,
}: {
  readonly ledger: {
    findOrder(
      requestId: RequestId,
      itemId: ItemId,
    ): Promise<{ readonly entry: LedgerEntry } | undefined>;
  };
  readonly runs: HintedRuns;
  /** Lets the refunds and disputes of a sale be read at the provider. */
  readonly noteReturns: (sale: SaleInput) => Promise<void>;
  /** How an order has ended by the archive; it may throw. Undefined without one, too. */
  readonly endOf: (
    order: Pick<Order, 'requestId' | 'orderId'>,
  ) => Promise<{ readonly status: string; readonly generation: number } | undefined>;
}): ActOnHint {
  /** What is known of an order that the ledger does not have: another installation may share the account of the provider. */
  const lookUp = async (order: LatePayment) => {
    const end = await endOf(order);
    if (end)
      return end.status === 'confirmed' && end.generation === order.generation ? 'sold' : 'unsold';
    return (await runs.hasRun(order)) ? 'unsold' : 'unknown';
  };

  const act: ActOnHint = async (hint) => {
    const payment = paymentOf(hint);
    if (!payment) return 'ignored';
    const { requestId, itemId, orderId, generation } = payment;
    const found = await ledger.findOrder(requestId, itemId);
    const entry = found?.entry.orderId === orderId ? found.entry : undefined;
    const isCurrent = entry?.generation === generation;
    if (isCurrent && entry.state === 'reserved') {
      // Without a deadline nobody waits for a hint.
      if (entry.payBy === undefined) return 'ignored';
      if (await runs.ask(payment, hint.key)) return 'run-asked';
      // It may have ended since the look.
      const { entry: then } = (await ledger.findOrder(requestId, itemId)) ?? {};
      return then?.fence === entry.fence ? 'no-run' : act(hint);
    }
    const isSold = isCurrent && entry.state === 'sold';
    if (isSold && hint.kind !== 'returns') return 'ignored';
    if (hint.kind === 'ended') return 'ignored';
    const standing = isSold ? 'sold' : entry ? 'unsold' : await lookUp(payment);
    if (standing === 'unknown') return 'unknown-order';
    if (standing === 'sold') {
      if (hint.kind === 'paid') return 'ignored';
      await noteReturns(payment);
      return 'returns-read';
    }
    // A refund that counted as made may have failed: the money is still there.
    const again = hint.kind === 'returns';
    await runs.giveBack(payment, hint.key, { again });
    return again ? 'refund-checked' : 'refund-started';
  };
  const counted = sharedCounter({
    name: 'flash_sale_payment_hints_total',
    help: 'Hints of the payment provider, repeated ones as well, by what was done about them',
    labelNames: ['outcome'],
  });
  // An alert asks for an increase, which the first sample of a new series is not.
  for (const outcome of HINT_OUTCOMES) counted.inc({ outcome }, 0);
  return async (hint) => {
    const outcome = await act(hint);
    counted.inc({ outcome });
    return outcome;
  };
}

/** Whose payment it is; undefined for a key that no order of the engine has. Orders without an id are never paid by buyers. */
function paymentOf(hint: PaymentHint): (LatePayment & SaleInput) | undefined {
  const requestId = parseRequestId(hint.requestId);
  const itemId = parseItemId(hint.itemId);
  if (requestId === undefined || itemId === undefined) return undefined;
  if (!hint.key.startsWith(`${requestId}:`)) return undefined;
  const rest = hint.key.slice(requestId.length + 1);
  const [, orderId, generation] = /^([A-Za-z0-9_.-]{1,64}):([1-9]\d{0,9})$/.exec(rest) ?? [];
  if (orderId === undefined) return undefined;
  return { requestId, itemId, orderId: orderId as OrderId, generation: Number(generation) };
}

/** Temporal, as the handler of hints uses it. Every method throws without a definite answer. */
export interface HintedRuns {
  /** Tells the open run of an order to ask about its payment; false where none is open. */
  ask(order: LatePayment, key: string): Promise<boolean>;
  /** Whether the latest run of the request is or was this order's. */
  hasRun(order: LatePayment): Promise<boolean>;
  /** Starts the refund of a payment, once; `again`: also after an earlier one has ended. */
  giveBack(order: LatePayment, key: string, options: { readonly again: boolean }): Promise<void>;
}

/** Providers wait for some seconds. */
const CALL_MS_MAX = 3_000;

export function createHintedRuns(client: Client, taskQueue: string): HintedRuns {
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);
  const unlessNone = async <T>(use: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call(use);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };
  return {
    ask: async ({ requestId }, key) => {
      const handle = client.workflow.getHandle(requestId);
      const asked = await unlessNone(() => handle.signal(PAYMENT_SIGNAL, key).then(() => true));
      return asked ?? false;
    },

    hasRun: async ({ requestId, orderId }) => {
      const run = await unlessNone(() => client.workflow.getHandle(requestId).describe());
      return run?.type === ORDER_WORKFLOW && orderIdInMemo(run.memo) === orderId;
    },

    giveBack: async ({ itemId, requestId, orderId, generation }, key, { again }) => {
      const payment = { itemId, requestId, orderId, generation };
      try {
        await call(() =>
          client.workflow.start(LATE_PAYMENT_WORKFLOW, {
            workflowId: latePaymentWorkflowId(key),
            taskQueue,
            // One that has ended has closed the key.
            workflowIdReusePolicy: again ? 'ALLOW_DUPLICATE' : 'ALLOW_DUPLICATE_FAILED_ONLY',
            args: [payment],
            typedSearchAttributes: [{ key: ITEM_ID, value: itemId }],
            staticSummary: `late payment of ${requestId}`,
          }),
        );
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    },
  };
}
