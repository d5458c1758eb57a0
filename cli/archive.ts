import type { Command } from 'commander';
import { openArchive, type ArchiveDatabase } from '../engine/archive/database';
import {
  listSetAside,
  retrySetAside,
  type Retried,
  type SetAsideRecord,
} from '../engine/archive/set-aside';
import { UserError } from '../platform/user-error';
import {
  addCommand,
  addNameAndRequiredReason,
  requireReason,
  wholeNumber,
  type ActionOptions,
  type CommonOptions,
  type End,
} from './command';
import { notRunning, withDatabase, type Context, type Operator } from './context';
import { plain, printJson, printResult, table, type ExitCode, type Terminal } from './terminal';

/** Adds `ls` and `retry` to the command `archive`. */
export function addArchiveCommands(archive: Command, actions: ArchiveActions, end: End): void {
  addCommand(archive, 'ls', 'List them, the newest first', 'flash-sale archive ls')
    .option('--max <number>', 'show at most this many', wholeNumber(1, 10_000), 50)
    .action((options: ListOptions) => end(actions.ls(options)));
  addNameAndRequiredReason(
    addCommand(
      archive,
      'retry',
      'Archive all of them again, once the reason is mended',
      'flash-sale archive retry --why "version 3.2 reads them"',
    ),
  ).action((options: ActionOptions) => end(actions.retry(options)));
}

/** On PostgreSQL. */
export const archiveActions = ({ terminal, access, operator, config }: Context) => {
  const withArchive = async <T>(
    options: CommonOptions,
    use: (database: ArchiveDatabase) => Promise<T>,
  ): Promise<T> => {
    return withDatabase(access(options).database, async (pool) => {
      if (!pool) throw new UserError('There is no archive: DATABASE_URL is not set.');
      return use(openArchive(pool)).catch((cause: unknown) => {
        throw notRunning('The archive gives no answer', cause);
      });
    });
  };
  return {
    ls: (options: ListOptions) => {
      const list = (max: number) => withArchive(options, (database) => listSetAside(database, max));
      return archiveLs({ terminal, list }, options);
    },
    retry: (options: ActionOptions) => {
      const { ordersTopic, orderEventsTopic, deadLetterTopic, operatorActionsTopic } = config();
      const logs = new Map([
        [ordersTopic, 'orders'],
        [orderEventsTopic, 'order-events'],
        [deadLetterTopic, 'dead-letters'],
        [operatorActionsTopic, 'operator-actions'],
      ] as const);
      const retry = () => withArchive(options, (database) => retrySetAside(database, logs));
      return archiveRetry({ terminal, ...operator(options), retry }, options);
    },
  };
};

type ArchiveActions = ReturnType<typeof archiveActions>;

interface ListOptions extends CommonOptions {
  readonly max: number;
}

/** `flash-sale archive ls`: always 0, since an empty list is an answer. */
export async function archiveLs(
  {
    terminal,
    list,
  }: {
    readonly terminal: Terminal;
    readonly list: (max: number) => Promise<readonly SetAsideRecord[]>;
  },
  { max, json }: ListOptions,
): Promise<ExitCode> {
  const found = await list(max);
  if (json) printJson(terminal, found);
  else if (found.length === 0) terminal.out('Every record is archived.\n');
  else {
    const rows = found.map(({ at, topic, partition, offset, size, problem }) => [
      at.toISOString(),
      `${topic}:${partition}:${offset}`,
      size ?? '-',
      problem,
    ]);
    terminal.out(table(terminal, rows, ['set aside', 'record', 'bytes', 'problem']));
  }
  return 0;
}

/** `flash-sale archive retry`: 0 once every record is archived, 1 while some cannot be. */
export async function archiveRetry(
  {
    terminal,
    by,
    record,
    retry,
  }: Operator & { readonly terminal: Terminal; readonly retry: () => Promise<Retried> },
  options: ActionOptions,
): Promise<ExitCode> {
  const why = requireReason(options.why, by);
  const retried = await record(
    { action: 'archive.retry', why, request: {} },
    retry,
    ({ archived, left }) => ({ outcome: 'done', after: { archived, left: left.length } }),
  );
  const { archived, left } = retried;
  const lines = left.map(
    ({ topic, partition, offset, problem }) =>
      `${plain(`${topic}:${partition}:${offset}: ${problem}`)}\n`,
  );
  const text = `${archived} records are archived, ${left.length} still cannot be.\n`;
  printResult(terminal, options, retried, `${lines.join('')}${text}`);
  return left.length === 0 ? 0 : 1;
}
