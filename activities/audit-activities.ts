import type { AuditSummary } from '../engine/reconciliation/audit-stock';

export type AuditActivities = ReturnType<typeof createAuditActivities>;

/** The audit of all items, as a step that the schedule's workflow takes. */
export function createAuditActivities(audit: () => Promise<AuditSummary>) {
  return { auditStock: audit };
}
