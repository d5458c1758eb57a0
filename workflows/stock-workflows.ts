import { condition, proxyActivities } from '@temporalio/workflow';
import type { AuditActivities } from '../activities/order-activities';

/**
 * Records, outside Redis, that an item has a ledger: its memo has the ledger's token. It does nothing and stays open,
 * because the server deletes a closed workflow after the retention of the namespace. An operator may cancel it.
 */
export async function itemLedgerWorkflow(): Promise<void> {
  await condition(() => false);
}

/** One try: the schedule starts the next audit in a minute, which looks at everything again. */
const { auditStock } = proxyActivities<AuditActivities>({
  startToCloseTimeout: '10 minutes',
  retry: { maximumAttempts: 1 },
});

/** One audit of all items, started by the schedule. Its result is what an operator has to decide. */
export async function stockAuditWorkflow(): Promise<unknown> {
  return auditStock.executeWithOptions({ summary: 'ledgers, workflows and charges' }, []);
}
