import { proxyActivities } from '@temporalio/workflow';
import type { AuditActivities } from '../activities';

/** One try: the schedule brings the next audit in a minute, and that one looks at everything anew. */
const { auditStock } = proxyActivities<AuditActivities>({
  startToCloseTimeout: '10 minutes',
  retry: { maximumAttempts: 1 },
});

/** One audit of all items, as the schedule starts it; its result is what is left to be decided. */
export async function stockAuditWorkflow(): Promise<unknown> {
  return auditStock.executeWithOptions({ summary: 'ledgers, workflows and charges' }, []);
}
