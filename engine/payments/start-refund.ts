import {
  ServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  type Client,
} from '@temporalio/client';
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { ITEM_ID } from '../orders/contract';
import {
  READ_SIGNAL,
  REFUND_FAILED,
  REFUND_REFUSED,
  refundMemo,
  refundWorkflowId,
  REFUND_WORKFLOW,
  RESTOCK_REFUSED,
  returnsWorkflowId,
  RETURNS_WORKFLOW,
  type RefundInput,
  type RefundMemo,
  type RefundResult,
  type SaleInput,
} from '../orders/refund';

/** What has become of a refund. `code`: the provider's, or a word of the engine. */
export type RefundOutcome =
  | { readonly kind: 'done'; readonly result: RefundResult }
  /** It is under way, or the provider does not know yet. */
  | { readonly kind: 'pending' }
  /** No money was given back; `not-restocked`: it was, and the units were not put back. */
  | { readonly kind: 'refused' | 'failed' | 'not-restocked'; readonly code: string }
  /** The operation id names another refund. */
  | { readonly kind: 'operation-reused' };

type RefundWorkflow = (input: RefundInput) => Promise<RefundResult>;

const CALL_MS_MAX = 2_000;
/** An operator waits: a refund takes a second or two. */
const WAIT_MS_MAX = 5_000;

export type RefundStarter = ReturnType<typeof createRefundStarter>;

/** Starts what happens after a sale. Both methods may be called again, and throw when Temporal does not answer. */
export function createRefundStarter(client: Client, taskQueue: string, waitMsMax = WAIT_MS_MAX) {
  const call = <T>(send: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, send);
  return {
    /** Starts a refund, once for its operation id, and waits a moment for what becomes of it. */
    async refund(input: RefundInput): Promise<RefundOutcome> {
      const workflowId = refundWorkflowId(input);
      const memo = refundMemo(input);
      const handle = client.workflow.getHandle<RefundWorkflow>(workflowId);
      const start = (workflowIdReusePolicy: 'REJECT_DUPLICATE' | 'ALLOW_DUPLICATE') =>
        call(() =>
          client.workflow.start(REFUND_WORKFLOW, {
            workflowId,
            taskQueue,
            workflowIdReusePolicy,
            args: [input],
            memo: { ...memo },
            typedSearchAttributes: [{ key: ITEM_ID, value: input.itemId }],
            staticSummary: `refund of ${input.requestId}`,
            staticDetails: `${input.by}: ${input.why}`,
          }),
        );
      try {
        await start('REJECT_DUPLICATE');
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        const { memo: before, status } = await call(() => handle.describe());
        if (!isSame(before, memo)) return { kind: 'operation-reused' };
        // Nobody knows how far that run came. What it did under the operation id is found.
        if (status.name === 'TERMINATED') await start('ALLOW_DUPLICATE');
      }
      try {
        const result = await client.withDeadline(Date.now() + waitMsMax, () => handle.result());
        return { kind: 'done', result };
      } catch (error) {
        // It has started, so that it goes on whether Temporal answers in time or not.
        if (error instanceof ServiceError) return { kind: 'pending' };
        const failure = error instanceof WorkflowFailedError ? error.cause : undefined;
        const cause = failure instanceof ActivityFailure ? failure.cause : failure;
        const kind = cause instanceof ApplicationFailure && REFUSALS[cause.type ?? ''];
        if (!kind) throw error;
        return { kind, code: cause.message };
      }
    },

    /**
     * Lets a worker read at the provider what has become of a sale's money, and tell what is new. For whoever gets a hint; any
     * number of hints cost one reading more than the one under way.
     */
    async noteReturns(sale: SaleInput): Promise<void> {
      const { itemId, requestId, orderId } = sale;
      await call(() =>
        client.workflow.signalWithStart(RETURNS_WORKFLOW, {
          workflowId: returnsWorkflowId(sale),
          taskQueue,
          args: [{ itemId, requestId, orderId }],
          signal: READ_SIGNAL,
          typedSearchAttributes: [{ key: ITEM_ID, value: itemId }],
        }),
      );
    },
  };
}

const REFUSALS: Readonly<
  Record<string, Exclude<RefundOutcome['kind'], 'done' | 'pending' | 'operation-reused'>>
> = {
  [REFUND_REFUSED]: 'refused',
  [REFUND_FAILED]: 'failed',
  [RESTOCK_REFUSED]: 'not-restocked',
};

function isSame(before: Partial<RefundMemo> | undefined, memo: RefundMemo): boolean {
  return (['orderId', 'amountMinor', 'restock'] as const).every(
    (name) => before?.[name] === memo[name],
  );
}
