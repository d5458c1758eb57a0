import type { Command } from 'commander';
import { openArchive } from '../engine/archive/database';
import { retireItem, type Retirement } from '../engine/archive/retire-item';
import { assertNever } from '../engine/orders/invariant';
import type { ItemId } from '../engine/orders/order';
import { registerAgain } from '../engine/reconciliation/register-ledgers';
import { createLedgerOpening } from '../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import { createRetirement } from '../engine/stock/retirement';
import type { ByHand } from '../engine/stock/ledger-counts';
import { UserError } from '../platform/user-error';
import {
  addCommand,
  addNameAndReason,
  addNameAndRequiredReason,
  parseItemId,
  refused,
  requireReason,
  type ActionOptions,
  type End,
} from './command';
import { withDatabase, withRedis, withTemporal, type Context, type Operator } from './context';
import { saleClose, stockDeps } from './stock';
import { printResult, type ExitCode, type Terminal } from './terminal';

/** Adds `close` and `retire` to the command `item`. */
export function addItemCommands(item: Command, actions: ItemActions, end: End): void {
  addNameAndReason(
    addCommand(item, 'close <item>', 'End the sale of an item now', 'flash-sale item close 101'),
  ).action((itemId: string, options: ActionOptions) =>
    end(actions.close({ ...options, item: itemId })),
  );
  addNameAndRequiredReason(
    addCommand(
      item,
      'retire <item>',
      'Take an item whose sale is over out of Redis and Temporal; the archive keeps all of it',
      'flash-sale item retire 101 --why "the sale of November"',
    ),
  ).action((itemId: string, options: ActionOptions) =>
    end(actions.retire({ ...options, item: itemId })),
  );
}

/** On Redis, Temporal and PostgreSQL. */
export const itemActions = (context: Context) => ({
  close: (options: ItemActionOptions) => saleClose(stockDeps(context, options), options),
  retire: (options: ItemActionOptions) => {
    const { redis, temporal, database } = context.access(options);
    const { taskQueue, orderRetentionMs } = context.config();
    const retire = (itemId: ItemId, who: ByHand) =>
      withDatabase(database, (pool) => {
        if (!pool) throw new UserError('There is no archive: DATABASE_URL is not set.');
        return withTemporal(temporal, (client) =>
          withRedis(redis, (connection) => {
            const registry = createLedgerRegistry(client, taskQueue);
            const opening = createLedgerOpening(connection);
            const deps = {
              archive: openArchive(pool),
              redis: connection,
              takeStep: createRetirement(connection),
              registry,
              registerAgain: (again: ItemId) => registerAgain({ opening, registry }, again),
              orderRetentionMs,
            };
            return retireItem(deps, itemId, who);
          }),
        );
      });
    const { terminal } = context;
    return itemRetire({ terminal, ...context.operator(options), retire }, options);
  },
});

type ItemActions = ReturnType<typeof itemActions>;

interface ItemActionOptions extends ActionOptions {
  readonly item: string;
}

/**
 * `flash-sale item retire`: after it Redis, Temporal and the audit know nothing of the item. Throws a UserError while it is on
 * sale, while orders are under way, and where the archive does not have all of it.
 */
export async function itemRetire(
  {
    terminal,
    by,
    record,
    retire,
  }: Operator & {
    readonly terminal: Terminal;
    readonly retire: (itemId: ItemId, who: ByHand) => Promise<Retirement>;
  },
  options: ItemActionOptions,
): Promise<ExitCode> {
  const itemId = parseItemId(options.item);
  const why = requireReason(options.why, by);
  const result = await record(
    { action: 'item.retire', itemId, why, request: {} },
    () => retire(itemId, { by, why }),
    ({ kind, ...found }) =>
      kind === 'retired'
        ? { outcome: 'done' }
        : { outcome: 'refused', detail: kind, before: found },
  );
  if (result.kind !== 'retired') throw refused(refusalText(itemId, result));
  const text = `Item ${itemId} is retired: only the archive knows it. Putting units on sale under its id begins anew.\n`;
  printResult(terminal, options, { item_id: itemId, outcome: 'retired' }, text);
  return 0;
}

function refusalText(itemId: ItemId, result: Exclude<Retirement, { kind: 'retired' }>): string {
  const again = 'Run the same again then: it goes on where it stopped.';
  switch (result.kind) {
    case 'unknown-item':
      return `Nothing is sold under ${itemId}.`;
    case 'lost':
      return `The ledger of item ${itemId} is lost: "flash-sale stock rebuild ${itemId}" first, so that every order comes to its end. Nothing was changed.`;
    case 'on-sale':
      return `The sale of item ${itemId} is not over: "flash-sale item close ${itemId}" ends it. Nothing was changed.`;
    case 'under-way':
      return `${result.units} units of item ${itemId} are held, queued or reserved: wait until their orders have ended. ${again}`;
    case 'entries':
      return `${result.orders} orders of item ${itemId} are not in the archive as they ended, or their charges are not settled: does the archiver run, and what does "flash-sale stock audit ${itemId}" say? ${again}`;
    case 'changes':
      return `${result.number} changes of the stock of item ${itemId} are not archived: does the archiver run? ${again}`;
    case 'unreadable':
      return `${result.detail}. Nothing was changed.`;
    default:
      return assertNever(result);
  }
}
