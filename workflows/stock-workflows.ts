import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import type { AuditActivities } from '../activities/order-activities';
import { RETIRE_SIGNAL } from '../engine/orders/contract';

/**
 * Records, outside Redis, that an item has a ledger: its memo has the ledger's token. It stays open until the item is
 * retired, because the server deletes a closed workflow after the retention of the namespace. It is completed only then; one
 * that an operator has cancelled or terminated still stands for the ledger.
 */
export async function itemLedgerWorkflow(): Promise<void> {
  let isRetired = false;
  setHandler(defineSignal(RETIRE_SIGNAL), () => {
    isRetired = true;
  });
  await condition(() => isRetired);
}

/** One try: the schedule starts the next step in a minute, which goes on where this one stopped. Orders come first. */
const { auditStock } = proxyActivities<AuditActivities>({
  startToCloseTimeout: '10 minutes',
  heartbeatTimeout: '2 minutes',
  retry: { maximumAttempts: 1 },
  priority: { priorityKey: 5 },
});

/** One step of the audit of all items, started by the schedule. Its result is what an operator has to decide. */
export async function stockAuditWorkflow(): Promise<unknown> {
  return auditStock.executeWithOptions({ summary: 'ledgers, workflows and charges' }, []);
}
