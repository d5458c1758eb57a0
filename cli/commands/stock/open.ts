import type { ItemId } from '../../../engine/orders/order';
import type { LedgerRegistry } from '../../../engine/stock/registry/ledger-registry';
import type { LedgerMaintenance } from '../../../engine/stock/upkeep/ledger-repair';
import { reasonGiven } from '../../arguments/reason-given';
import { printJson, type ExitCode, type Terminal } from '../../output/terminal';
import { UserError } from '../../../platform/user-error';

export interface StockOpenDeps {
  readonly terminal: Terminal;
  readonly by: string;
  readonly repair: Pick<LedgerMaintenance, 'standing' | 'accept'>;
  readonly registry: Pick<LedgerRegistry, 'find'>;
}

/** `flash-sale stock open`: accepts a lost ledger as it stands in Redis. Throws a UserError where it is not lost. */
export async function stockOpen(
  { terminal, by, repair, registry }: StockOpenDeps,
  options: { readonly item: ItemId; readonly why?: string; readonly json?: boolean },
): Promise<ExitCode> {
  const { item, json } = options;
  const why = reasonGiven(options.why, by);
  const token = await registry.find(item);
  const { open, free } = await repair.standing(item);
  if (open || token === undefined) {
    const state = open ? 'is open already' : 'was never opened: the first purchase opens it';
    throw new UserError(`The ledger of item ${item} ${state}. Nothing was changed.`, {
      exitCode: 1,
    });
  }
  await repair.accept(item, token, { by, why });
  if (json) printJson(terminal, { item_id: item, outcome: 'opened', free: Number(free ?? 0) });
  else
    terminal.out(`The ledger of item ${item} is open as it stands: ${free ?? 'no'} units free.\n`);
  return 0;
}
