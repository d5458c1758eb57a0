import {
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
} from '@temporalio/client';
import {
  ITEM_ID,
  itemOfLedgerWorkflow,
  LEDGER_WORKFLOW,
  ledgerWorkflowId,
  type LedgerMemo,
} from '../orders/contract';
import type { ItemId } from '../orders/order';

/** A buyer may be waiting; without an answer the buyer asks again. */
const CALL_MS_MAX = 1_500;
const LISTING_MS_MAX = 30_000;

/** What is registered of an item's ledger. */
export interface LedgerRegistration {
  readonly token: string;
  /** When it was registered, by Temporal's clock. */
  readonly at: number;
  /** It was registered before and Temporal has lost that, and all earlier runs with it: the item is older than `at`. */
  readonly isAgain: boolean;
}

export type LedgerRegistry = ReturnType<typeof createLedgerRegistry>;

/**
 * Records in Temporal, outside Redis, that an item has a ledger: one workflow for each item, with the ledger's token in its
 * memo. Every method throws when Temporal gives no definite answer.
 */
export function createLedgerRegistry(client: Client, taskQueue: string) {
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);

  /** Undefined when the item's ledger was never opened. A look-up by id is never stale. */
  const registration = async (itemId: ItemId): Promise<LedgerRegistration | undefined> => {
    const id = ledgerWorkflowId(itemId);
    try {
      const { memo, startTime } = await call(() => client.workflow.getHandle(id).describe());
      const token = memo?.['token'];
      if (typeof token !== 'string') throw new Error(`The workflow ${id} has no token in its memo`);
      return { token, at: startTime.getTime(), isAgain: memo?.['again'] === true };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };

  const find = async (itemId: ItemId): Promise<string | undefined> =>
    (await registration(itemId))?.token;

  return {
    /** The token of the item's ledger; undefined when it was never opened. */
    find,
    registration,

    /**
     * Registers a token unless the item has one already; returns the registered one. `again`: the ledger was registered
     * before, and Temporal has lost that.
     */
    async register(
      itemId: ItemId,
      token: string,
      { again = false }: { readonly again?: boolean } = {},
    ): Promise<string> {
      const memo: LedgerMemo = { itemId, token, ...(again && { again: true as const }) };
      try {
        await call(() =>
          client.workflow.start(LEDGER_WORKFLOW, {
            workflowId: ledgerWorkflowId(itemId),
            taskQueue,
            // A closed workflow also proves that there was a ledger.
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

    /** Every item registered on this task queue, except for those of about the last second. */
    async items(): Promise<readonly ItemId[]> {
      const query = `WorkflowType = '${LEDGER_WORKFLOW}' AND TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`;
      const items: ItemId[] = [];
      await client.withDeadline(Date.now() + LISTING_MS_MAX, async () => {
        for await (const { workflowId } of client.workflow.list({ query })) {
          items.push(itemOfLedgerWorkflow(workflowId));
        }
      });
      return items;
    },
  };
}
