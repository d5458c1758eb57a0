import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Command } from 'commander';
import type { Pool } from 'pg';
import { withPublisher } from '../engine/dead-letters/dead-letter-log';
import { createOutcomePublisher, type OutcomePublisher } from '../engine/kafka/outcome-publisher';
import { createKafka } from '../engine/kafka/kafka-client';
import {
  findRecords,
  isLogRead,
  logReachesBackTo,
  readCancellations,
  readOrders,
} from '../engine/kafka/read-log';
import { assertNever } from '../engine/orders/invariant';
import type { ItemId, Order, RequestId } from '../engine/orders/order';
import { encodeOrder } from '../engine/orders/order-record';
import { RESTOCK_UNITS_MAX } from '../engine/orders/sale';
import { openArchive } from '../engine/archive/database';
import { createLedgerOfRecord, NO_ARCHIVE } from '../engine/archive/ledger-of-record';
import { checkArchive } from '../engine/archive/migrate';
import { openPaymentProvider } from '../engine/payments/open-provider';
import { openEndedOrders } from '../engine/reconciliation/archive-lag';
import { archiveLookOf } from '../engine/reconciliation/audit-archive';
import {
  auditItem,
  createChargeLookup,
  type AuditPosition,
} from '../engine/reconciliation/audit-item';
import type { Difference } from '../engine/reconciliation/compare-order';
import { createArchivedLedger } from '../engine/reconciliation/archived-ledger';
import {
  createOrderHistory,
  type ArchiveGap,
  type HistoryGap,
} from '../engine/reconciliation/order-history';
import { createOrderRuns } from '../engine/reconciliation/order-runs';
import { rebuildLedger, type RebuildDeps } from '../engine/reconciliation/rebuild-ledger';
import { repairItem } from '../engine/reconciliation/repair-item';
import { restoreCancelled } from '../engine/reconciliation/restore-cancelled';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import { createLedgerOpening } from '../engine/stock/ledger-opener';
import { createClaimOrder } from '../engine/stock/claims';
import { createLedgerMaintenance } from '../engine/stock/ledger-maintenance';
import type { RedisConnection } from '../platform/redis';
import { pingDatabase } from '../platform/postgres';
import { describeError, UserError } from '../platform/user-error';
import {
  addCommand,
  addNameAndReason,
  addNameAndRequiredReason,
  parseItemId,
  refused,
  requireReason,
  wholeNumber,
  type ActionOptions,
  type End,
} from './command';
import { notRunning, withDatabase, withRedis, withTemporal, type Context } from './context';
import { plain, printJson, printResult, type ExitCode, type Terminal } from './terminal';

/** Adds `audit`, `rebuild` and `open` to the command `stock`. */
export function addLedgerCommands(stock: Command, actions: LedgerActions, end: End): void {
  addNameAndReason(
    addCommand(
      stock,
      'audit <item>',
      'Compare ledger, workflows, charges and archive of an item',
      'flash-sale stock audit 101',
      'flash-sale stock audit 101 --repair',
    ),
  )
    .option('--repair', 'repair what has one right answer')
    .action((item: string, options: Omit<AuditOptions, 'item'>) =>
      end(actions.audit({ ...options, item })),
    );

  const units = wholeNumber(0, RESTOCK_UNITS_MAX);
  addNameAndRequiredReason(
    addCommand(
      stock,
      'rebuild <item>',
      'Restore a lost ledger from the archive, the workflows and the log',
      'flash-sale stock rebuild 101 --why "Redis was wiped"',
      'flash-sale stock rebuild 101 --supply 100 --why "Redis was wiped"',
    ),
  )
    .option(
      '--supply <units>',
      'all units that were ever put on sale, unless the archive knows it',
      units,
    )
    .option('--free <units>', 'the units that nobody has', units)
    .option(
      '--accept-incomplete',
      'with --free: restore the orders that are known, although others may have been sold',
    )
    .option('--no-archive', 'restore every order from the log and the workflows instead')
    .action((item: string, options: Omit<RebuildOptions, 'item'>) =>
      end(actions.rebuild({ ...options, item })),
    );

  addNameAndRequiredReason(
    addCommand(
      stock,
      'open <item>',
      'Open a lost ledger with what Redis has now',
      'flash-sale stock open 101 --why "nothing of it was sold yet"',
    ),
  ).action((item: string, options: Omit<OpenOptions, 'item'>) =>
    end(actions.open({ ...options, item })),
  );
}

/** On the real Redis, Kafka, Temporal and payment provider. */
export const ledgerActions = (context: Context) => {
  const withClients = async (
    options: ActionOptions,
    use: (clients: Clients) => Promise<ExitCode>,
  ): Promise<ExitCode> => {
    const { redis, temporal, database } = context.access(options);
    return withDatabase(database, (pool) =>
      withTemporal(temporal, (client) =>
        withRedis(redis, (connection) =>
          use(createClients(context, options, { redis: connection, client, pool })),
        ),
      ),
    );
  };
  return {
    audit: (options: AuditOptions) => withClients(options, (clients) => audit(clients, options)),
    rebuild: (options: RebuildOptions) => withClients(options, (it) => rebuild(it, options)),
    open: (options: OpenOptions) => withClients(options, (clients) => open(clients, options)),
  };
};

type LedgerActions = ReturnType<typeof ledgerActions>;

function createClients(
  context: Context,
  options: ActionOptions,
  {
    redis,
    client,
    pool,
  }: { readonly redis: RedisConnection; readonly client: Client; readonly pool: Pool | undefined },
) {
  const config = context.config();
  const { taskQueue, ordersTopic, orderEventsTopic, cancellationsTopic } = config;
  const { consumerGroup, orderRetentionMs } = config;
  const stockLedger = createStockLedger(redis);
  const { kafka: access, payments } = context.access(options);
  const kafka = createKafka('flash-sale-cli', access);
  const database = pool && openArchive(pool);
  const ended = database
    ? openEndedOrders({ database, kafka }, [ordersTopic, orderEventsTopic])
    : NO_ARCHIVE;
  const ledger = createLedgerOfRecord(stockLedger, ended);
  const noLog = (cause: unknown): never => {
    throw notRunning(`Cannot read the log from Kafka at ${access.addrs.join(',')}`, cause);
  };
  if (!payments) {
    throw new UserError(
      'Nothing names the payment provider of this ledger: set PAYMENT_PROVIDER and what belongs to it as its worker has them.',
    );
  }
  const provider = openPaymentProvider(payments);
  const runs = createOrderRuns(client, taskQueue);
  const cancellationsOf = (itemId: ItemId, requestIds?: ReadonlySet<RequestId>) =>
    readCancellations(kafka, cancellationsTopic, itemId, requestIds).catch(noLog);
  const history = createOrderHistory({
    runs,
    readOrders: (itemId) =>
      readOrders(kafka, { topic: ordersTopic, groupId: consumerGroup }, itemId).catch(noLog),
    readCancellations: cancellationsOf,
    logReachesBackTo: (sinceMs) => logReachesBackTo(kafka, ordersTopic, sinceMs).catch(noLog),
  });
  return {
    terminal: context.terminal,
    ...context.operator(options),
    /** The archive, once it has answered; or why it has not. */
    findArchive: async (): Promise<{ archived?: RebuildDeps['archived']; problem?: string }> => {
      if (!pool || !database) return { problem: 'DATABASE_URL is not set' };
      try {
        await pingDatabase(pool);
        await checkArchive(database);
      } catch (error) {
        return { problem: describeError(error) };
      }
      const topics = {
        orders: ordersTopic,
        events: orderEventsTopic,
        actions: config.operatorActionsTopic,
      };
      const history = { runs, readCancellations: cancellationsOf, orderRetentionMs };
      return { archived: createArchivedLedger({ database, redis, kafka, topics, ...history }) };
    },
    repair: createLedgerMaintenance(redis),
    opening: createLedgerOpening(redis),
    ledger,
    registry: createLedgerRegistry(client, taskQueue),
    runs,
    history,
    readCancellations: cancellationsOf,
    claim: createClaimOrder(redis, orderRetentionMs),
    isLogRead: () => isLogRead(kafka, ordersTopic, consumerGroup).catch(noLog),
    findRecords: (orders: Parameters<typeof findRecords>[2]) =>
      findRecords(kafka, ordersTopic, orders).catch(noLog),
    appendOrder: (order: Order) =>
      withPublisher(access, ordersTopic, (orders) =>
        orders.append({ key: order.requestId, value: encodeOrder(order) }),
      ),
    archive: ended,
    /** For one audit: it asks no more once the archive has not answered. */
    openArchiveLook: () =>
      archiveLookOf({ database, kafka, topics: [ordersTopic, orderEventsTopic] }),
    outcomes: {
      publish: (...outcome: Parameters<OutcomePublisher['publish']>) =>
        withPublisher(access, orderEventsTopic, (events) =>
          createOutcomePublisher(stockLedger, events).publish(...outcome),
        ),
    },
    provider,
    lookUpCharges: createChargeLookup(provider),
    wait: (ms: number) => sleep(ms),
  };
}

type Clients = ReturnType<typeof createClients> & { readonly terminal: Terminal };

interface AuditOptions extends ActionOptions {
  readonly item: string;
  readonly repair?: boolean | undefined;
}

/** `flash-sale stock audit`: 0 when everything agrees, 1 while something differs. Throws a UserError for an unknown item. */
async function audit(clients: Clients, options: AuditOptions): Promise<ExitCode> {
  const { terminal, by, record } = clients;
  const { repair, json, why = 'stock audit --repair' } = options;
  const itemId = parseItemId(options.item);
  const compare = async () => {
    let orders = 0;
    const differences: Difference[] = [];
    const deps = { ...clients, archiveLook: clients.openArchiveLook() };
    for (let position: AuditPosition | undefined; ;) {
      const answer = await auditItem(deps, { itemId, ...(position && { position }) });
      if (answer.kind === 'unknown') {
        throw refused(`Nothing is sold under ${itemId}, and nothing ever was.`);
      }
      orders += answer.orders;
      differences.push(...answer.differences);
      position = answer.next;
      if (position === undefined) return { ...answer, orders, differences };
    }
  };
  const { orders, differences, isCounted, areUnitsCompared, archiveProblem } = await compare();
  const mendable = differences.filter(({ mend }) => mend !== undefined);
  let left = differences;
  if (repair && mendable.length > 0) {
    const mend = async () => {
      const deps = { ...clients, archiveLook: clients.openArchiveLook() };
      await repairItem(deps, { itemId, differences: mendable, by, why });
      return (await compare()).differences;
    };
    const request = { differences: mendable.map(differenceJson) };
    left = await record({ action: 'stock.repair', itemId, why, request }, mend, (after) => ({
      outcome: 'done',
      before: differences.map(differenceJson),
      after: after.map(differenceJson),
    }));
    if (!json) for (const line of mendable) terminal.out(`mending   ${differenceText(line)}\n`);
  }
  if (json) {
    printJson(terminal, {
      item_id: itemId,
      orders,
      counted: isCounted,
      archive_problem: archiveProblem ?? null,
      archive_counted: areUnitsCompared,
      differences: left.map(differenceJson),
      repaired: repair ? mendable.map(differenceJson) : [],
    });
  } else {
    for (const line of left) terminal.out(`${differenceText(line)}\n`);
    const compared =
      archiveProblem === undefined
        ? 'ledger, workflows, charges and archive'
        : 'ledger, workflows and charges';
    const agreed = `Item ${itemId}: ${orders} orders, ${compared} agree.\n`;
    if (!isCounted) {
      terminal.out(
        'The counts were not compared with the entries: try again when it is quieter.\n',
      );
    }
    if (archiveProblem !== undefined) {
      terminal.out(plain(`The archive was not looked at: ${archiveProblem}.\n`));
    }
    terminal.out(left.length === 0 ? agreed : `${left.length} differences.\n`);
  }
  return left.length === 0 ? 0 : 1;
}

function differenceText({ kind, requestId, there, should, mend }: Difference): string {
  const hint = mend ? '' : ' (to be decided by you)';
  return plain(`${kind}  ${requestId ?? '-'}  there: ${there}  should be: ${should}${hint}`);
}

function differenceJson({ kind, requestId, there, should, mend }: Difference) {
  return { kind, request_id: requestId ?? null, there, should, mend: mend ?? null };
}

interface RebuildOptions extends ActionOptions {
  readonly item: string;
  readonly free?: number | undefined;
  readonly supply?: number | undefined;
  readonly acceptIncomplete?: boolean | undefined;
  /** False with --no-archive. */
  readonly archive: boolean;
}

/** `flash-sale stock rebuild`: restores a lost ledger and opens it. Throws a UserError when it is not lost. */
async function rebuild(clients: Clients, options: RebuildOptions): Promise<ExitCode> {
  const { terminal, by, record } = clients;
  const { free, supply, acceptIncomplete = false } = options;
  const itemId = parseItemId(options.item);
  const why = requireReason(options.why, by);
  if (free !== undefined && supply !== undefined) {
    throw new UserError(
      '--free (not sold and not held) and --supply (all that were ever put on sale) exclude each other. Nothing was changed.',
    );
  }
  if (acceptIncomplete && free === undefined) {
    throw new UserError(
      '--accept-incomplete takes --free: count the units that nobody has bought. The orders that are not known hold units that --supply would sell again. Nothing was changed.',
    );
  }
  const stock =
    free !== undefined
      ? ({ given: 'free', units: free } as const)
      : supply !== undefined
        ? ({ given: 'supply', units: supply } as const)
        : undefined;
  const { archived, problem } = options.archive
    ? await clients.findArchive()
    : { archived: undefined, problem: undefined };
  if (problem !== undefined) {
    const source = 'The orders are restored from the log and the workflows, one by one';
    terminal.err(`There is no archive (${problem}). ${source}.\n`);
  }
  const request = {
    free,
    supply,
    accept_incomplete: acceptIncomplete,
    archive: archived !== undefined,
  };
  const result = await record(
    { action: 'stock.rebuild', itemId, why, request },
    () => rebuildLedger({ ...clients, archived }, { itemId, stock, acceptIncomplete, by, why }),
    ({ kind, ...found }) =>
      kind === 'rebuilt'
        ? { outcome: 'done', before: { ledger: 'lost' }, after: found }
        : { outcome: 'refused', detail: kind, before: found },
  );
  switch (result.kind) {
    case 'rebuilt': {
      const { kind, sale, ...units } = result;
      const fields = Object.entries(sale ?? {}).map(([name, value]) => `${name} ${value}`);
      const text = [
        `Item ${itemId} is on sale again: ${units.free} free, ${units.queued} queued, ${units.reserved} reserved, ${units.sold} sold, supply ${units.supply}.`,
        fields.length > 0
          ? `Its sale: ${fields.join(', ')}.`
          : 'It has the default price, no limit and no window: set them anew if they were lost.',
        '',
      ].join('\n');
      const document = { item_id: itemId, outcome: kind, ...units, sale: sale ?? null };
      printResult(terminal, options, document, text);
      return 0;
    }
    case 'too-small':
      throw refused(
        `The orders of item ${itemId} hold ${result.needed} units: a supply below that would be oversold. Nothing was changed.`,
      );
    case 'incomplete':
      throw refused(
        [
          `The history of item ${itemId} may be incomplete, so units that are sold could be sold again.`,
          ...result.gaps.map(gapText),
          'Count the units that nobody has bought, by the records of the payment provider, and use --free <units> --accept-incomplete: it restores what is known. Nothing was changed.',
        ].join(' '),
      );
    case 'supply-unknown':
      throw refused(
        `How many units item ${itemId} has is not known (${result.why}): say it with --supply (all that were ever put on sale) or --free (not sold and not held). Nothing was changed.`,
      );
    case 'open':
      throw refused(`The ledger of item ${itemId} is not lost. Nothing was changed.`);
    case 'never-opened':
      throw refused(
        `Item ${itemId} has never had a ledger: put it on sale with SET inventory:${itemId}. Nothing was changed.`,
      );
    default:
      return assertNever(result);
  }
}

function gapText(gap: HistoryGap | ArchiveGap): string {
  const since = 'runsKnownSince' in gap ? new Date(gap.runsKnownSince).toISOString() : '';
  switch (gap.kind) {
    case 'archive-behind':
      return `The archive does not have ${gap.records} records of Kafka yet: does the archiver run? (flash_sale_archive_lag_seconds) --no-archive does without it.`;
    case 'archive-begins-late': {
      const begins = new Date(gap.archivedSince).toISOString();
      return `The archive begins at ${begins}, and neither it nor the log goes back to the first order of the item.`;
    }
    case 'events-set-aside':
      return `${gap.records} events, or stretches of events that Kafka had lost, could not be archived, and each may tell of a sale: see the table set_aside.`;
    case 'log-begins-late':
      return `The log does not go back to its first order, and Temporal may have forgotten workflows that ended before ${since}.`;
    case 'runs-forgotten':
      return `${gap.orders} orders in the log, ${gap.example} among them, were accepted before ${since} or had a workflow already, and have none any more: each may have been sold.`;
    default:
      return assertNever(gap);
  }
}

interface OpenOptions extends ActionOptions {
  readonly item: string;
}

/** `flash-sale stock open`: accepts a lost ledger as it stands in Redis. Throws a UserError when it is not lost. */
async function open(clients: Clients, options: OpenOptions): Promise<ExitCode> {
  const { terminal, by, record, repair, registry } = clients;
  const itemId = parseItemId(options.item);
  const why = requireReason(options.why, by);
  const token = await registry.find(itemId);
  const { open: isOpen, free } = await repair.standing(itemId);
  if (isOpen || token === undefined) {
    const state = isOpen ? 'is open already' : 'was never opened: the first purchase opens it';
    throw refused(`The ledger of item ${itemId} ${state}. Nothing was changed.`);
  }
  const accept = async () => {
    await restoreCancelled(clients, itemId);
    await repair.accept(itemId, token, { by, why });
  };
  const units = Number(free ?? 0);
  await record({ action: 'stock.open', itemId, why, request: {} }, accept, () => ({
    outcome: 'done',
    before: { ledger: 'lost', free: units },
    after: { ledger: 'open', free: units },
  }));
  const document = { item_id: itemId, outcome: 'opened', free: units };
  const text = `The ledger of item ${itemId} is open as it stands: ${free ?? 'no'} units free.\n`;
  printResult(terminal, options, document, text);
  return 0;
}
