import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseMoment } from '../../engine/dead-letters/operator';
import { AMOUNT_MAX } from '../../engine/orders/order';
import {
  isCurrency,
  PRICE_MINOR_MAX,
  RESTOCK_UNITS_MAX,
  SALE_TIME_MAX,
} from '../../engine/orders/sale';
import type { SaleSetOptions } from '../commands/sale-set';
import type { StockRestockOptions } from '../commands/stock/restock';
import { addLedgerCommands, type LedgerCommands } from './ledger-program';
import type { ExitCode } from '../output/terminal';
import { add, wholeNumber, type CommonOptions } from '../usage';

/** What the words after `stock` and `sale` end in. */
export interface StockCommands extends LedgerCommands {
  readonly stockShow: (options: CommonOptions & { readonly item: string }) => Promise<ExitCode>;
  readonly stockRestock: (options: CommonOptions & StockRestockOptions) => Promise<ExitCode>;
  readonly saleSet: (options: CommonOptions & SaleSetOptions) => Promise<ExitCode>;
  readonly saleClear: (options: CommonOptions & { readonly item: string }) => Promise<ExitCode>;
}

type End = (code: ExitCode) => void;

/** Describes the commands about stock and its sale; `end` gets the exit code of the one that ran. */
export function addStockCommands(program: Command, commands: StockCommands, end: End): void {
  const stock = program.command('stock').description('The stock of items');
  add(stock, 'show <item>', "An item's units by state, its price and its sale", [
    'flash-sale stock show 101',
  ]).action(async (item: string, options: CommonOptions) => {
    end(await commands.stockShow({ ...options, item }));
  });
  const restock = (name: 'add' | 'set', description: string, least: number) => {
    const command = add(stock, `${name} <item>`, description, [`flash-sale stock ${name} 101 50`])
      .argument('<units>', 'units', wholeNumber(least, RESTOCK_UNITS_MAX))
      .option('--operation-id <id>', 'sent twice under one id, it counts once', operationId);
    command.action(
      async (item: string, count: number, options: CommonOptions & { operationId?: string }) => {
        const units = name === 'add' ? { add: count } : { free: count };
        end(await commands.stockRestock({ ...options, item, units }));
      },
    );
  };
  restock('add', 'More units of an item; an unknown item is on sale from then on', 1);
  restock('set', 'So many units are free from now on, whatever was free before', 0);
  addLedgerCommands(stock, commands, end);
  addSaleCommands(program, commands, end);
}

function addSaleCommands(program: Command, commands: StockCommands, end: End): void {
  const sale = program.command('sale').description('How items are sold: price, limit, window');
  add(sale, 'show <item>', 'The price, the limit and the window of an item', [
    'flash-sale sale show 101',
  ]).action(async (item: string, options: CommonOptions) => {
    end(await commands.stockShow({ ...options, item }));
  });
  add(sale, 'set <item>', 'Change what is named; orders that are under way keep their price', [
    'flash-sale sale set 101 --price 10.00 --currency USD --limit 2',
    'flash-sale sale set 101 --opens 2026-11-24T10:00Z --closes 2026-11-24T12:00Z',
  ])
    .option('--price <amount>', 'price of a unit, such as 10.00')
    .option('--price-minor <cents>', 'the same in minor units', wholeNumber(1, PRICE_MINOR_MAX))
    .option('--currency <code>', 'three letters, such as USD', currency)
    .option('--limit <units>', 'units a user may own', wholeNumber(1, AMOUNT_MAX))
    .addOption(time('--opens <time>', 'first moment: 2026-11-24T10:00Z'))
    .addOption(time('--closes <time>', 'end of the sale, written in the same ways'))
    .option('--force', 'also a limit that users are above already')
    .action(async (item: string, options: CommonOptions & Omit<SaleSetOptions, 'item'>) => {
      end(await commands.saleSet({ ...options, item }));
    });
  add(sale, 'clear <item>', 'No limit, no window, the default price', [
    'flash-sale sale clear 101',
  ]).action(async (item: string, options: CommonOptions) => {
    end(await commands.saleClear({ ...options, item }));
  });
}

function currency(text: string): string {
  if (isCurrency(text)) return text;
  throw new InvalidArgumentError('It must be a currency of ISO 4217, such as USD.');
}

/** The same ids as everywhere, so that one can be repeated from a log or a chat. */
function operationId(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 128 letters, digits or . _ ~ : @ + = -');
}

function time(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string): number => {
    const at = parseMoment(text, Date.now());
    if (at !== undefined && at >= 0 && at <= SALE_TIME_MAX) return at;
    throw new InvalidArgumentError(
      'It must be a time such as 2026-11-24T10:00Z (UTC unless it says otherwise).',
    );
  });
}
