import { ScheduleAlreadyRunning, type Client } from '@temporalio/client';
import { AUDIT_WORKFLOW } from '../orders/contract';
import type { ItemId } from '../orders/order';
import type { LedgerRegistry } from '../stock/ledger-registry';
import { auditItem, type AuditedItem, type ReconciliationDeps } from './audit-item';
import type { AuditProgress, AuditProgressStore } from './audit-progress';
import { TOLD_WITHIN_MS } from './audit-archive';
import type { Difference, DifferenceKind, Mend } from './compare-order';
import { repairItem } from './repair-item';

export interface AuditSummary {
  readonly items: number;
  /** Orders that this step read. */
  readonly orders: number;
  /** The number of differences that remain, by kind; kinds without one are absent. */
  readonly differences: Readonly<Record<string, number>>;
  /** Items whose audit failed in this step. The others are audited all the same. */
  readonly failed: readonly ItemId[];
  /** Why nothing was said of the archive, at some items at least. */
  readonly archiveProblem?: string;
  /** When the oldest of the items' last complete audits began, in ms since the epoch; absent without items. */
  readonly completeFrom?: number;
}

/** An order that finished earlier was compared by fourteen audits, or by the last one where audits take longer. */
const FINISHED_WITHIN_MS = 15 * 60_000;
/** What has not changed, and whose run has not ended, is read again after this time. */
const WHOLE_EVERY_MS = 24 * 3_600_000;
/** The listing of runs is seconds behind, and the clocks of Redis and Temporal differ. */
const OVERLAP_MS = 5 * 60_000;
/** A step ends after this time, and the next one goes on: it must be over before the schedule starts the next. */
const STEP_MS_MAX = 40_000;
/** Items named in a summary, which is part of a workflow's history. */
const FAILED_NAMED_MAX = 20;

/**
 * Repairs that need no decision: an expired hold belongs to no order, a record that is appended twice starts one workflow,
 * and an event that is published twice has one id. All other differences are left to an operator.
 */
const AUTOMATIC: readonly (Mend | undefined)[] = ['reclaim', 'append-record', 'tell'];

type StockAuditDeps = ReconciliationDeps & {
  readonly registry: Pick<LedgerRegistry, 'items'>;
  readonly progress: AuditProgressStore;
  /** Called after each item; `differences` are those that remain. */
  readonly onItem: (item: {
    readonly itemId: ItemId;
    readonly differences: readonly Difference[];
    readonly mended: readonly Difference[];
  }) => void;
  readonly onFailure: (failure: { readonly itemId: ItemId; readonly error: unknown }) => void;
  /** Called before each page. */
  readonly heartbeat: () => void;
};

/**
 * One step of the audit of every item that has had a ledger, and the repair of what needs no decision. A step is bounded in
 * time and goes on where the last one stopped, beginning with the item that has waited longest.
 */
export async function auditStock(deps: StockAuditDeps): Promise<AuditSummary> {
  const { registry, progress, now = Date.now, heartbeat } = deps;
  const deadline = now() + STEP_MS_MAX;
  const known = new Map(await progress.read());
  const items = new Set(await registry.items());
  await progress.forget([...known.keys()].filter((itemId) => !items.has(itemId)));
  const lookedAt = (itemId: ItemId) => known.get(itemId)?.lookedAt ?? 0;
  const inTurn = [...items].sort((one, other) => lookedAt(one) - lookedAt(other));
  const failed: ItemId[] = [];
  let orders = 0;
  for (const itemId of inTurn) {
    if (now() >= deadline) break;
    const hasTime = () => {
      heartbeat();
      return now() < deadline;
    };
    const before = known.get(itemId);
    try {
      const audited = await auditInTurn(deps, { itemId, before, hasTime });
      orders += audited?.orders ?? 0;
      known.set(itemId, audited?.progress ?? beginning(now()));
    } catch (error) {
      failed.push(itemId);
      deps.onFailure({ itemId, error });
      known.set(itemId, { ...(before ?? beginning(now())), lookedAt: now() });
    }
    try {
      await progress.write(itemId, known.get(itemId) ?? beginning(now()));
    } catch (error) {
      // A full Redis refuses it, for every item. The next step looks at the item again.
      if (!failed.includes(itemId)) failed.push(itemId);
      deps.onFailure({ itemId, error });
    }
  }
  return summaryOf({ items, known, failed, orders, archiveProblem: deps.archiveLook.problem });
}

/** The step of one item. Undefined for an item that is not known any more. */
async function auditInTurn(
  deps: StockAuditDeps,
  { itemId, before, hasTime }: ItemTurn,
): Promise<{ readonly orders: number; readonly progress: AuditProgress } | undefined> {
  const { now = Date.now } = deps;
  const lookedAt = now();
  const startedAt = before?.position ? before.startedAt : lookedAt;
  const since = before?.completedFrom === undefined ? 0 : before.completedFrom - OVERLAP_MS;
  const lately = startedAt - FINISHED_WITHIN_MS;
  // An order is looked for in the archive by one audit at least that finds it old enough.
  const finishedSince = since === 0 ? lately : Math.min(since - TOLD_WITHIN_MS, lately);
  // Where all orders are due, the archive is, too: it never was looked at since.
  const remaining = (kind: DifferenceKind) => (before?.remaining[kind] ?? 0) > 0;
  const isArchiveDue =
    startedAt - (before?.archivedFrom ?? 0) >= WHOLE_EVERY_MS || remaining('unended');
  const isWholeDue = startedAt - (before?.wholeFrom ?? 0) >= WHOLE_EVERY_MS;
  const result = await auditItem(deps, {
    itemId,
    finishedSince,
    changedSince: isWholeDue ? undefined : finishedSince,
    runsSince: Math.min(since, before?.missingSince ?? Infinity),
    isArchiveDue,
    unitsComparedAt: remaining('archive-counts') ? undefined : before?.unitsComparedAt,
    hasTime,
    ...(before?.countedAt !== undefined && { countedAt: before.countedAt }),
    ...(before?.position && { position: before.position }),
  });
  if (result.kind === 'unknown') return undefined;
  const mended = result.differences.filter(({ mend }) => AUTOMATIC.includes(mend));
  const who = { by: 'the audit', why: 'it has one right answer' };
  await repairItem(deps, { itemId, differences: mended, ...who });
  const differences = result.differences.filter((difference) => !mended.includes(difference));
  deps.onItem({ itemId, differences, mended });
  return {
    orders: result.orders,
    progress: advanced(before, { startedAt, lookedAt, isArchiveDue, result, differences }),
  };
}

interface ItemTurn {
  readonly itemId: ItemId;
  readonly before: AuditProgress | undefined;
  readonly hasTime: () => boolean;
}

function beginning(at: number): AuditProgress {
  return { startedAt: at, lookedAt: at, remaining: {}, found: {} };
}

/** The progress of an item after a step. The differences of an audit are added up until it is complete. */
function advanced(
  before: AuditProgress | undefined,
  step: {
    readonly startedAt: number;
    readonly lookedAt: number;
    readonly isArchiveDue: boolean;
    readonly result: AuditedItem;
    readonly differences: readonly Difference[];
  },
): AuditProgress {
  const { startedAt, lookedAt, isArchiveDue, result, differences } = step;
  const isContinued = before?.position !== undefined;
  const found: Record<string, number> = isContinued ? { ...before.found } : {};
  for (const { kind } of differences) found[kind] = (found[kind] ?? 0) + 1;
  const isMissed =
    result.archiveProblem !== undefined || (isContinued && before.isArchiveMissed === true);
  // What was not looked at again is as it was.
  const keep = (kind: DifferenceKind) => {
    const known = before?.remaining[kind];
    if (known !== undefined) found[kind] = known;
  };
  if (!result.isCounted) keep('counts');
  if (!result.areUnitsCompared) keep('archive-counts');
  if (isMissed) keep('unended');
  const unitsComparedAt = result.areUnitsCompared ? lookedAt : before?.unitsComparedAt;
  const isArchived = !result.next && !isMissed && isArchiveDue && result.isWhole;
  const archivedFrom = isMissed ? undefined : isArchived ? startedAt : before?.archivedFrom;
  const countedAt = result.isCounted ? lookedAt : before?.countedAt;
  const missing = [isContinued ? before.missingSince : undefined, result.missingSince];
  const missingSince = Math.min(...missing.map((since) => since ?? Infinity));
  return {
    startedAt,
    lookedAt,
    ...(result.next && { position: result.next }),
    ...completed(before, startedAt, result),
    ...(missingSince < Infinity && { missingSince }),
    ...(countedAt !== undefined && { countedAt }),
    ...(isMissed && { isArchiveMissed: true }),
    ...(archivedFrom !== undefined && { archivedFrom }),
    ...(unitsComparedAt !== undefined && { unitsComparedAt }),
    remaining: result.next ? (before?.remaining ?? {}) : found,
    found,
  };
}

/** When the last audits began that are complete, of whatever had changed and of all orders. */
function completed(
  before: AuditProgress | undefined,
  startedAt: number,
  { next, isWhole }: AuditedItem,
): Pick<AuditProgress, 'completedFrom' | 'wholeFrom'> {
  const { completedFrom, wholeFrom } = before ?? {};
  const latest = {
    ...(completedFrom !== undefined && { completedFrom }),
    ...(wholeFrom !== undefined && { wholeFrom }),
  };
  if (next) return latest;
  return { ...latest, completedFrom: startedAt, ...(isWhole && { wholeFrom: startedAt }) };
}

function summaryOf({
  items,
  known,
  failed,
  orders,
  archiveProblem,
}: {
  readonly items: ReadonlySet<ItemId>;
  readonly known: ReadonlyMap<ItemId, AuditProgress>;
  readonly failed: readonly ItemId[];
  readonly orders: number;
  readonly archiveProblem: string | undefined;
}): AuditSummary {
  const differences: Record<string, number> = {};
  let completeFrom = Infinity;
  for (const itemId of items) {
    const one = known.get(itemId);
    completeFrom = Math.min(completeFrom, one?.completedFrom ?? one?.startedAt ?? 0);
    // While an audit is under way, what it has found counts as soon as it is more than before.
    for (const kind of new Set([
      ...Object.keys(one?.remaining ?? {}),
      ...Object.keys(one?.found ?? {}),
    ])) {
      const most = Math.max(one?.remaining[kind] ?? 0, one?.found[kind] ?? 0);
      differences[kind] = (differences[kind] ?? 0) + most;
    }
  }
  return {
    items: items.size,
    orders,
    differences,
    failed: failed.slice(0, FAILED_NAMED_MAX),
    ...(archiveProblem !== undefined && { archiveProblem }),
    ...(completeFrom < Infinity && { completeFrom }),
  };
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
