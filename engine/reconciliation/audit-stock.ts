import { ScheduleAlreadyRunning, type Client } from '@temporalio/client';
import { AUDIT_WORKFLOW } from '../orders/contract';
import type { ItemId } from '../orders/order';
import type { LedgerRegistry } from '../stock/ledger-registry';
import { auditItem, type ReconciliationDeps } from './audit-item';
import type { Difference, Mend } from './compare-order';
import { repairItem } from './repair-item';

export interface AuditSummary {
  readonly items: number;
  readonly orders: number;
  /** The number of differences that remain, by kind; kinds without one are absent. */
  readonly differences: Readonly<Record<string, number>>;
}

/** An order that finished earlier was compared by fourteen audits. */
const FINISHED_WITHIN_MS = 15 * 60_000;

/**
 * Repairs that need no decision: an expired hold belongs to no order, and a record that is appended twice starts one
 * workflow. All other differences are left to an operator.
 */
const AUTOMATIC: readonly (Mend | undefined)[] = ['reclaim', 'append-record'];

/** Audits every item that has had a ledger, one after the other, and repairs what needs no decision. */
export async function auditStock(
  deps: ReconciliationDeps & {
    readonly registry: Pick<LedgerRegistry, 'items'>;
    /** Called after each item; `differences` are those that remain. */
    readonly onItem: (item: {
      readonly itemId: ItemId;
      readonly differences: readonly Difference[];
      readonly mended: readonly Difference[];
    }) => void;
  },
): Promise<AuditSummary> {
  const items = await deps.registry.items();
  const remaining: Record<string, number> = {};
  let orders = 0;
  for (const itemId of items) {
    const result = await auditItem(deps, { itemId, finishedWithinMs: FINISHED_WITHIN_MS });
    if (result.kind === 'unknown') continue;
    orders += result.orders;
    const mended = result.differences.filter(({ mend }) => AUTOMATIC.includes(mend));
    const who = { by: 'the audit', why: 'it has one right answer' };
    await repairItem(deps, { itemId, differences: mended, ...who });
    const differences = result.differences.filter((difference) => !mended.includes(difference));
    deps.onItem({ itemId, differences, mended });
    for (const { kind } of differences) remaining[kind] = (remaining[kind] ?? 0) + 1;
  }
  return { items: items.length, orders, differences: remaining };
}

/** Far longer than an audit takes. One that hangs must not block the next ones for ever. */
const RUN_MS_MAX = 15 * 60_000;

/**
 * Lets Temporal start an audit every `everyMs` on a task queue, never two at once. Every worker calls it when it starts; an
 * existing schedule gets the new interval.
 */
export async function ensureAuditSchedule(
  client: Client,
  { taskQueue, everyMs }: { readonly taskQueue: string; readonly everyMs: number },
): Promise<void> {
  const scheduleId = auditScheduleId(taskQueue);
  const spec = { intervals: [{ every: everyMs }] };
  try {
    await client.schedule.create({
      scheduleId,
      spec,
      action: {
        type: 'startWorkflow',
        workflowType: AUDIT_WORKFLOW,
        workflowId: scheduleId,
        taskQueue,
        args: [],
        workflowExecutionTimeout: RUN_MS_MAX,
      },
      // A missed run is not repeated: the next one finds the same.
      policies: { overlap: 'SKIP', catchupWindow: everyMs },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(scheduleId).update((schedule) => ({ ...schedule, spec }));
  }
}

/** One schedule per task queue: its workers share the Redis, the log and the provider of its orders. */
export function auditScheduleId(taskQueue: string): string {
  return `stock-audit/${taskQueue}`;
}
