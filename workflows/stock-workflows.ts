import { condition, proxyActivities } from '@temporalio/workflow';
import type { AuditActivities } from '../activities/order-activities';

/**
 * Records, outside Redis, that an item has a ledger: its memo has the ledger's token. It does nothing and stays open,
 * because the server deletes a closed workflow after the retention of the namespace. An operator may cancel it.
 */
export async function itemLedgerWorkflow(): Promise<void> {
  await condition(() => false);
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
