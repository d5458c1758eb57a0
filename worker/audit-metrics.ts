import { Gauge } from 'prom-client';
import { DIFFERENCE_KINDS } from '../engine/reconciliation/compare-order';
import type { AuditSummary } from '../engine/reconciliation/audit-stock';

/** What the last audit that ran in this process came to. Of several workers each shows its own last one. */
export function createAuditMetrics() {
  const differences = new Gauge({
    name: 'ledger_differences',
    help: 'Differences between ledger, workflows and charges that the last audit has left, by kind',
    labelNames: ['kind'],
  });
  const items = new Gauge({
    name: 'ledger_audit_items',
    help: 'Items that the last audit looked at',
  });
  const lastRun = new Gauge({
    name: 'ledger_audit_last_run_timestamp_seconds',
    help: 'When the last audit ended, in seconds since the epoch; 0 before the first',
  });
  return {
    audited: (summary: AuditSummary) => {
      for (const kind of DIFFERENCE_KINDS)
        differences.set({ kind }, summary.differences[kind] ?? 0);
      items.set(summary.items);
      lastRun.setToCurrentTime();
    },
  };
}
