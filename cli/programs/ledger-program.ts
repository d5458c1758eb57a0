import { InvalidArgumentError, type Command } from 'commander';
import { isId, type ItemId } from '../../engine/orders/order';
import { RESTOCK_UNITS_MAX } from '../../engine/orders/sale';
import type { StockAuditOptions } from '../commands/stock/audit';
import type { StockRebuildOptions } from '../commands/stock/rebuild';
import type { ExitCode } from '../output/terminal';
import { add, wholeNumber, type CommonOptions } from '../usage';

/** What those words after `stock` end in that keep ledgers in order. */
export interface LedgerCommands {
  readonly stockAudit: (options: CommonOptions & StockAuditOptions) => Promise<ExitCode>;
  readonly stockRebuild: (options: CommonOptions & StockRebuildOptions) => Promise<ExitCode>;
  readonly stockOpen: (
    options: CommonOptions & { readonly item: ItemId; readonly why?: string },
  ) => Promise<ExitCode>;
}

/** Describes the commands that keep ledgers in order; `end` gets the exit code of the one that ran. */
export function addLedgerCommands(
  stock: Command,
  commands: LedgerCommands,
  end: (code: ExitCode) => void,
): void {
  add(stock, 'audit', 'Holds ledger, workflows and charges of an item against each other', [
    'flash-sale stock audit 101',
    'flash-sale stock audit 101 --repair',
  ])
    .argument('<item>', 'the item', itemId)
    .option('--repair', 'mend what has one right answer')
    .action(async (item: ItemId, options: CommonOptions & Omit<StockAuditOptions, 'item'>) => {
      end(await commands.stockAudit({ ...options, item }));
    });

  add(stock, 'rebuild', 'Restores a lost ledger from the workflows and the log', [
    'flash-sale stock rebuild 101 --supply 100 --why "Redis was wiped"',
  ])
    .argument('<item>', 'the item', itemId)
    .option('--why <text>', 'your reason, recorded with your name; needed')
    .option(
      '--supply <units>',
      'all units that were ever put on sale',
      wholeNumber(0, RESTOCK_UNITS_MAX),
    )
    .option('--free <units>', 'the units that nobody has', wholeNumber(0, RESTOCK_UNITS_MAX))
    .action(async (item: ItemId, options: CommonOptions & Omit<StockRebuildOptions, 'item'>) => {
      end(await commands.stockRebuild({ ...options, item }));
    });

  add(stock, 'open', 'Sells an item whose ledger was lost with what Redis has now', [
    'flash-sale stock open 101 --why "nothing of it was sold yet"',
  ])
    .argument('<item>', 'the item', itemId)
    .option('--why <text>', 'your reason, recorded with your name; needed')
    .action(async (item: ItemId, options: CommonOptions & { readonly why?: string }) => {
      end(await commands.stockOpen({ ...options, item }));
    });
}

function itemId(text: string): ItemId {
  if (isId(text)) return text as ItemId;
  throw new InvalidArgumentError('It must be the id of an item.');
}
