import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
} from '@temporalio/client';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { ItemId } from '../../orders/order';
import {
  itemOfLedgerWorkflow,
  LEDGER_WORKFLOW,
  ledgerWorkflowId,
  type LedgerMemo,
} from '../../orders/contract';

/** Where it is written, outside Redis, that an item has a ledger. Throws when Temporal gives no definite answer. */
export interface LedgerRegistry {
  /** The token of the item's ledger; undefined when it was never opened. Never stale: it is asked for by id. */
  find(itemId: ItemId): Promise<string | undefined>;
  /** Registers a token, once and for all, unless one is registered; answers the one that is. */
  register(itemId: ItemId, token: string): Promise<string>;
  /** Every item that was registered on this task queue, except for the last second or so. */
  items(): Promise<readonly ItemId[]>;
}

const ITEM_ID = defineSearchAttributeKey('ItemId', 'KEYWORD');

/** A buyer may be waiting; who gets no answer asks again. */
const CALL_MS_MAX = 1_500;
const LISTING_MS_MAX = 30_000;

export function createLedgerRegistry(client: Client, taskQueue: string): LedgerRegistry {
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);

  const find: LedgerRegistry['find'] = async (itemId) => {
    try {
      const id = ledgerWorkflowId(itemId);
      const { memo } = await call(() => client.workflow.getHandle(id).describe());
      const token = memo?.['token'];
      if (typeof token !== 'string') throw new Error(`The workflow ${id} has no token in its memo`);
      return token;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };

  return {
    find,
    items: async () => {
      const query = `WorkflowType = '${LEDGER_WORKFLOW}' AND TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`;
      const items: ItemId[] = [];
      await client.withDeadline(Date.now() + LISTING_MS_MAX, async () => {
        for await (const { workflowId } of client.workflow.list({ query })) {
          items.push(itemOfLedgerWorkflow(workflowId));
        }
      });
      return items;
    },
    register: async (itemId, token) => {
      const memo: LedgerMemo = { itemId, token };
      try {
        await call(() =>
          client.workflow.start(LEDGER_WORKFLOW, {
            workflowId: ledgerWorkflowId(itemId),
            taskQueue,
            // Also a workflow that somebody has ended says that there was a ledger.
            workflowIdReusePolicy: 'REJECT_DUPLICATE',
            args: [],
            memo: { ...memo },
            typedSearchAttributes: [{ key: ITEM_ID, value: itemId }],
            staticSummary: `the ledger of item ${itemId}`,
          }),
        );
        return token;
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        return (await find(itemId)) ?? token;
      }
    },
  };
}
