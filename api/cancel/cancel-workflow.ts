import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { RequestId } from '../../engine/orders/order';

/**
 * Asks Temporal to cancel an order's current run; nothing where none is open. Throws when Temporal gives no answer, and may
 * be called again.
 */
export type CancelWorkflow = (requestId: RequestId) => Promise<void>;

/** With the wait for the outcome it stays within the patience of a buyer and of a proxy. */
const CALL_MS_MAX = 2_000;

export function createCancelWorkflow(client: Client): CancelWorkflow {
  return async (requestId) => {
    try {
      await client.withDeadline(Date.now() + CALL_MS_MAX, () =>
        client.workflow.getHandle(requestId).cancel(),
      );
    } catch (error) {
      // Closed by now, in which case the ledger tells how, or ended from outside, in which case the mark waits for the next run.
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  };
}
