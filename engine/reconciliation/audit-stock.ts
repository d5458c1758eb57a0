import type { ItemId } from '../orders/order';
import type { LedgerRegistry } from '../stock/registry/ledger-registry';
import { auditItem, type AuditDeps } from './audit-item';
import type { Difference, Mend } from './difference';
import { repairItem, type RepairDeps } from './repair-item';

export interface AuditStockDeps extends AuditDeps, RepairDeps {
  readonly repair: AuditDeps['repair'];
  readonly runs: AuditDeps['runs'] & RepairDeps['runs'];
  readonly registry: LedgerRegistry;
  readonly now?: () => number;
  /** Told once an item is done; `mended` were given their one right answer. */
  readonly onItem: (item: {
    readonly itemId: ItemId;
    readonly differences: readonly Difference[];
    readonly mended: readonly Difference[];
  }) => void;
}

/** What one audit of all items came to. */
export interface AuditSummary {
  readonly items: number;
  readonly orders: number;
  /** How many differences are left, by kind; kinds without any are absent. */
  readonly differences: Readonly<Record<string, number>>;
}

/** An order that came to its outcome before that has been looked at by fourteen audits. */
const FINISHED_WITHIN_MS = 15 * 60_000;

/**
 * What nobody needs to decide: an expired hold belongs to nobody, and a record that is appended twice is one workflow.
 * Everything else waits for an operator who looks at it.
 */
const MENDED_ALONE: readonly (Mend | undefined)[] = ['reclaim', 'append-record'];

/** Audits every item that was ever opened, one after the other, and mends what needs no decision. */
export async function auditStock(deps: AuditStockDeps): Promise<AuditSummary> {
  const items = await deps.registry.items();
  const left = new Map<string, number>();
  let orders = 0;
  for (const itemId of items) {
    const answer = await auditItem(deps, { itemId, finishedWithinMs: FINISHED_WITHIN_MS });
    if (answer.kind === 'unknown') continue;
    orders += answer.orders;
    const mended = answer.differences.filter(({ mend }) => MENDED_ALONE.includes(mend));
    const who = { by: 'the audit', why: 'it has one right answer' };
    await repairItem(deps, { itemId, differences: mended, ...who });
    const differences = answer.differences.filter((difference) => !mended.includes(difference));
    deps.onItem({ itemId, differences, mended });
    for (const { kind } of differences) left.set(kind, (left.get(kind) ?? 0) + 1);
  }
  return { items: items.length, orders, differences: Object.fromEntries(left) };
}
