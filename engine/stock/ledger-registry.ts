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
  RETIRE_SIGNAL,
  type LedgerMemo,
} from '../orders/contract';
import type { ItemId } from '../orders/order';

/** A buyer may be waiting; without an answer the buyer asks again. */
const CALL_MS_MAX = 1_500;
const LISTING_MS_MAX = 30_000;
const RETIRE_MS_MAX = 20_000;

/** What is registered of an item's ledger. */
export interface LedgerRegistration {
  readonly token: string;
  /** When it was registered, by Temporal's clock. */
  readonly at: number;
  /** It was registered before and Temporal has lost that, and all earlier runs with it: the item is older than `at`. */
  readonly isAgain: boolean;
  /** An item that was retired has been put on sale again: orders of its earlier life may still ask for their steps. */
  readonly isReopened?: boolean;
}

export type LedgerRegistry = ReturnType<typeof createLedgerRegistry>;

/**
 * Records in Temporal, outside Redis, that an item has a ledger: one workflow for each item, with the ledger's token in its
 * memo. Every method throws when Temporal gives no definite answer.
 */
export function createLedgerRegistry(client: Client, taskQueue: string) {
  const call = <T>(use: () => Promise<T>) => client.withDeadline(Date.now() + CALL_MS_MAX, use);

  /** Undefined when the item's ledger was never opened, as far as Temporal knows. A look-up by id is never stale. */
  const look = async (itemId: ItemId): Promise<LedgerRegistration | 'retired' | undefined> => {
    const id = ledgerWorkflowId(itemId);
    try {
      const { memo, startTime, status } = await call(() =>
        client.workflow.getHandle(id).describe(),
      );
      if (status.name === 'COMPLETED') return 'retired';
      const token = memo?.['token'];
      if (typeof token !== 'string') throw new Error(`The workflow ${id} has no token in its memo`);
      return {
        token,
        at: startTime.getTime(),
        isAgain: memo?.['again'] === true,
        isReopened: memo?.['reopened'] === true,
      };
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };

  const registration = async (itemId: ItemId): Promise<LedgerRegistration | undefined> => {
    const found = await look(itemId);
    return found === 'retired' ? undefined : found;
  };

  const start = async (memo: LedgerMemo, afterClosed: 'REJECT_DUPLICATE' | 'ALLOW_DUPLICATE') => {
    const itemId = memo.itemId as ItemId;
    await call(() =>
      client.workflow.start(LEDGER_WORKFLOW, {
        workflowId: ledgerWorkflowId(itemId),
        taskQueue,
        workflowIdReusePolicy: afterClosed,
        args: [],
        memo: { ...memo },
        typedSearchAttributes: [{ key: ITEM_ID, value: itemId }],
        staticSummary: `the ledger of item ${itemId}`,
      }),
    );
  };

  return {
    /** Undefined when the item has no ledger: it was never on sale, or is retired. */
    registration,

    /** The token of the item's ledger. */
    find: async (itemId: ItemId): Promise<string | undefined> =>
      (await registration(itemId))?.token,

    /** Whether the item is retired; false also once Temporal has forgotten it. */
    isRetired: async (itemId: ItemId): Promise<boolean> => (await look(itemId)) === 'retired',

    /**
     * Takes an item out of the registry that has nothing in Redis to lose any more. Returns when that has happened; an item
     * that is not registered stays as it is. Needs a worker.
     */
    async retire(itemId: ItemId): Promise<void> {
      const handle = client.workflow.getHandle(ledgerWorkflowId(itemId));
      if ((await registration(itemId)) === undefined) return;
      await call(() => handle.signal(RETIRE_SIGNAL));
      await client.withDeadline(Date.now() + RETIRE_MS_MAX, () => handle.result());
    },

    /**
     * Registers a token unless the item has one already; returns the registered one, and whether the item was retired before
     * that. `again`: the ledger was registered before, and Temporal has lost that.
     */
    async register(
      itemId: ItemId,
      token: string,
      { again = false }: { readonly again?: boolean } = {},
    ): Promise<Pick<LedgerRegistration, 'token' | 'isReopened'>> {
      const memo: LedgerMemo = { itemId, token, ...(again && { again: true as const }) };
      try {
        // A closed workflow also proves that there was a ledger.
        await start(memo, 'REJECT_DUPLICATE');
        return { token };
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
      const found = await look(itemId);
      if (found !== 'retired') return found ?? { token };
      try {
        await start({ ...memo, reopened: true }, 'ALLOW_DUPLICATE');
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        // Somebody else has registered it since.
        return (await registration(itemId)) ?? { token, isReopened: true };
      }
      return { token, isReopened: true };
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
