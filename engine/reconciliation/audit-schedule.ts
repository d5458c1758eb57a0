import { ScheduleAlreadyRunning, type Client } from '@temporalio/client';
import { AUDIT_WORKFLOW } from '../orders/contract';

/** Longer than any audit that is of use; one that hangs must not keep the next ones from running for ever. */
const RUN_MS_MAX = 15 * 60_000;

/**
 * Lets Temporal start an audit every `everyMs` on a task queue, never two at once. Called by each worker at its start:
 * a schedule that is there gets the present interval.
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
      // A run that was missed is made up for by the next one.
      policies: { overlap: 'SKIP', catchupWindow: everyMs },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    await client.schedule.getHandle(scheduleId).update((schedule) => ({ ...schedule, spec }));
  }
}

/** One for each task queue: its workers have the Redis, the log and the provider of the orders on it. */
export function auditScheduleId(taskQueue: string): string {
  return `stock-audit/${taskQueue}`;
}
