import { auditItem, type ReconciliationDeps } from '../../../engine/reconciliation/audit-item';
import type { Difference } from '../../../engine/reconciliation/compare-order';
import { repairItem } from '../../../engine/reconciliation/repair-item';
import type { ItemId } from '../../../engine/orders/order';
import { plain, printJson, type ExitCode, type Terminal } from '../../output/terminal';
import { UserError } from '../../../platform/user-error';

export interface StockAuditDeps extends ReconciliationDeps {
  readonly terminal: Terminal;
  readonly by: string;
}

export interface StockAuditOptions {
  readonly item: ItemId;
  readonly repair?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** `flash-sale stock audit`: 0 when everything fits, 1 while something differs. Throws a UserError for an unknown item. */
export async function stockAudit(
  deps: StockAuditDeps,
  { item, repair, json }: StockAuditOptions,
): Promise<ExitCode> {
  const { terminal, by } = deps;
  const audit = async () => {
    const answer = await auditItem(deps, { itemId: item });
    if (answer.kind === 'audited') return answer;
    throw new UserError(`Nothing is sold under ${item}, and nothing ever was.`, { exitCode: 1 });
  };
  const first = await audit();
  const mendable = first.differences.filter(({ mend }) => mend !== undefined);
  const left = repair && mendable.length > 0 ? await mended() : first.differences;
  if (json) {
    const differences = left.map(differenceJson);
    const repaired = repair ? mendable.map(differenceJson) : [];
    printJson(terminal, { item_id: item, orders: first.orders, differences, repaired });
  } else {
    for (const line of left) terminal.out(`${differenceText(line)}\n`);
    const nothing = `Item ${item}: ${first.orders} orders, ledger, workflows and charges agree.`;
    terminal.out(left.length === 0 ? `${nothing}\n` : `${left.length} differences.\n`);
  }
  return left.length === 0 ? 0 : 1;

  async function mended(): Promise<readonly Difference[]> {
    await repairItem(deps, {
      itemId: item,
      differences: mendable,
      by,
      why: 'stock audit --repair',
    });
    if (!json) for (const line of mendable) terminal.out(`mending   ${differenceText(line)}\n`);
    return (await audit()).differences;
  }
}

function differenceText({ kind, requestId, there, should, mend }: Difference): string {
  const hint = mend ? '' : ' (to be decided by you)';
  return plain(`${kind}  ${requestId ?? '-'}  there: ${there}  should be: ${should}${hint}`);
}

function differenceJson({ kind, requestId, there, should, mend }: Difference) {
  return { kind, request_id: requestId ?? null, there, should, mend: mend ?? null };
}
