import { assertNever } from '../../../engine/orders/invariant';
import type { ItemId } from '../../../engine/orders/order';
import { rebuildLedger, type RebuildDeps } from '../../../engine/reconciliation/rebuild-ledger';
import { reasonGiven } from '../../arguments/reason-given';
import { printJson, type ExitCode, type Terminal } from '../../output/terminal';
import { UserError } from '../../../platform/user-error';

export interface StockRebuildDeps extends RebuildDeps {
  readonly terminal: Terminal;
  readonly by: string;
}

export interface StockRebuildOptions {
  readonly item: ItemId;
  readonly why?: string | undefined;
  readonly free?: number | undefined;
  readonly supply?: number | undefined;
  readonly json?: boolean | undefined;
}

/** `flash-sale stock rebuild`: restores a lost ledger and opens it. Throws a UserError where it is not lost. */
export async function stockRebuild(
  { terminal, by, ...deps }: StockRebuildDeps,
  { item, why, free, supply, json }: StockRebuildOptions,
): Promise<ExitCode> {
  const reason = reasonGiven(why, by);
  if ((free === undefined) === (supply === undefined)) {
    throw new UserError(
      'Say how many units there are: either --free (not sold and not held) or --supply (all that were ever put on sale). Nothing was changed.',
    );
  }
  const given = free === undefined ? 'supply' : 'free';
  const options = { itemId: item, given, units: free ?? supply ?? 0, by, why: reason } as const;
  const answer = await rebuildLedger(deps, options);
  switch (answer.kind) {
    case 'rebuilt': {
      const { kind, ...stock } = answer;
      if (json) printJson(terminal, { item_id: item, outcome: kind, ...stock });
      else terminal.out(rebuiltText(item, stock));
      return 0;
    }
    case 'too-small':
      throw new UserError(
        `The orders of item ${item} hold ${answer.needed} units: a supply below that would be oversold. Nothing was changed.`,
        { exitCode: 1 },
      );
    case 'open':
      throw new UserError(`The ledger of item ${item} is not lost. Nothing was changed.`, {
        exitCode: 1,
      });
    case 'never-opened':
      throw new UserError(
        `Item ${item} has never had a ledger: put it on sale with SET inventory:${item}. Nothing was changed.`,
        { exitCode: 1 },
      );
    default:
      return assertNever(answer);
  }
}

function rebuiltText(
  item: string,
  { free, queued, reserved, sold, supply }: Readonly<Record<string, number>>,
): string {
  return [
    `Item ${item} is on sale again: ${free} free, ${queued} queued, ${reserved} reserved, ${sold} sold, supply ${supply}.`,
    'Price, limit and window of the sale are what stands in Redis now: set them anew if they were lost.',
    '',
  ].join('\n');
}
