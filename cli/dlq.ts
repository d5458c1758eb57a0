import { Option, type Command } from 'commander';
import { openArchive } from '../engine/archive/database';
import { createDeadLetterClients } from '../engine/dead-letters/dead-letter-log';
import { discardLetters, type DiscardDeps } from '../engine/dead-letters/discard';
import {
  letterJson,
  stateOf,
  timeOf,
  utf8Text,
  wholeLetterJson,
  type LetterCount,
  type LetterFilter,
} from '../engine/dead-letters/letters';
import type { OperatorError } from '../engine/dead-letters/operator';
import type { Letters } from '../engine/dead-letters/read-letters';
import type { StoredDeadLetter } from '../engine/kafka/dead-letters';
import { FAILURE_REASONS, type Order } from '../engine/orders/order';
import { UserError } from '../platform/user-error';
import {
  addCommand,
  addName,
  addNameAndRequiredReason,
  moment,
  refused,
  requireReason,
  wholeNumber,
  type ActionOptions,
  type CommonOptions,
  type End,
} from './command';
import { notRunning, withDatabase, withRedis, type Context, type Operator } from './context';
import { dlqReplay, type ReplayOptions } from './dlq-replay';
import {
  plain,
  printJson,
  printResult,
  printWarnings,
  shorten,
  table,
  type Cell,
  type ExitCode,
  type Terminal,
} from './terminal';
import { createClaimOrder } from '../engine/stock/claims';

/** Starts per second: well below what a small machine sells, so that a sale goes on during a replay. */
const RATE = 10;

/** Adds the commands about dead letters to `dlq`. */
export function addDlqCommands(dlq: Command, actions: DlqActions, end: End): void {
  const list = addCommand(
    dlq,
    'ls',
    'List dead letters, newest last',
    'flash-sale dlq ls --reason payment-declined --since 2h',
  ).option('--max <number>', 'show at most this many', wholeNumber(1, 10_000), 50);
  addFilter(list).action((options: ListOptions) => end(actions.ls(options)));

  addCommand(
    dlq,
    'show <id>',
    'Everything about the letters of one order (request_id or letter id)',
    'flash-sale dlq show req-123',
  ).action((id: string, options: CommonOptions) => end(actions.show({ ...options, id })));

  const stats = addCommand(
    dlq,
    'stats',
    'Count letters by reason and error, and by item',
    'flash-sale dlq stats --since 2026-11-24',
  );
  addFilter(stats).action((options: CommonOptions & LetterFilter) => end(actions.stats(options)));

  const replay = addName(
    addCommand(
      dlq,
      'replay [ids...]',
      'Try failed orders again: the named ones, or all that match',
      'flash-sale dlq replay req-123 --why "the card was renewed"',
      'flash-sale dlq replay --reason payment-unknown --since 1h --dry-run',
      'flash-sale dlq replay orders:3:42 --mended order.json --why "amount was a text"',
    ),
  )
    .option('--why <text>', 'your reason, recorded with your name; required unless --dry-run')
    .option('--dry-run', 'only say what would happen')
    .option('--max <number>', 'start at most this many, oldest first', wholeNumber(1, 1_000_000))
    .option('--rate <number>', 'start at most this many per second', wholeNumber(1, 1_000), RATE)
    .option('--mended <file>', 'the corrected JSON record of one unreadable letter');
  addFilter(replay).action((ids: string[], options: Omit<ReplayOptions, 'ids'>) =>
    end(actions.replay({ ...options, ids })),
  );

  addNameAndRequiredReason(
    addCommand(
      dlq,
      'discard <ids...>',
      'Mark letters as dealt with; nothing is deleted',
      'flash-sale dlq discard req-123 --why "the buyer has paid in the shop"',
    ),
  ).action((ids: string[], options: Omit<DiscardOptions, 'ids'>) =>
    end(actions.discard({ ...options, ids })),
  );
}

function addFilter(command: Command): Command {
  const time = moment(
    'It must be a time such as 2026-11-24 or 2026-11-24T10:00Z (UTC unless it says otherwise), or 90s, 30m, 2h, 7d ago.',
  );
  return command
    .addOption(new Option('--reason <reason>', 'only this reason').choices(FAILURE_REASONS))
    .option('--item <id>', 'only this item')
    .option('--since <time>', 'not before: 2026-11-24T10:00Z, or 30m, 2h, 7d ago', time)
    .option('--until <time>', 'not after, written in the same ways', time)
    .option('--all', 'also letters that were replayed, sold since or discarded');
}

/** On the real archive, Redis, Kafka and Temporal. */
export const dlqActions = ({ terminal, isWatched, access, operator, config }: Context) => {
  const run = async <Options extends ActionOptions>(
    command: (deps: DlqDeps, options: Options) => Promise<ExitCode>,
    options: Options,
  ) => {
    const { kafka, redis, temporal, database } = access(options);
    const { orderRetentionMs, ...names } = config();
    return withDatabase(database, (pool) => {
      const archive = pool && openArchive(pool);
      const deps = {
        ...createDeadLetterClients({ kafka, temporal, archive, ...names }),
        terminal,
        isWatched,
        ...operator(options),
        claim: (order: Order) =>
          withRedis(redis, (it) => createClaimOrder(it, orderRetentionMs)(order)),
      };
      return command(deps, options);
    });
  };
  return {
    ls: (options: ListOptions) => run(dlqLs, options),
    show: (options: ShowOptions) => run(dlqShow, options),
    stats: (options: CommonOptions & LetterFilter) => run(dlqStats, options),
    replay: (options: ReplayOptions) => run(dlqReplay, options),
    discard: (options: DiscardOptions) => run(dlqDiscard, options),
  };
};

type DlqDeps = Parameters<typeof dlqReplay>[0];

type DlqActions = ReturnType<typeof dlqActions>;

/** The error of dead-letter operations with how to go on at this command line; a refusal has exit code 1. */
export function inWordsOfTheCommandLine({ kind, message, cause }: OperatorError): UserError {
  switch (kind) {
    case 'invalid':
      return new UserError(message);
    case 'unknown-letter':
      return refused(message);
    case 'dealt-with':
      return refused(`${message} With --all it is replayed all the same.`);
    case 'several-letters':
      return refused(message);
    case 'unrecorded':
    case 'unavailable':
      return notRunning(message, cause);
  }
}

interface ReadDeps {
  readonly terminal: Terminal;
  /** Throws when Kafka does not answer. */
  readonly readLetters: () => Promise<Letters>;
}

export interface ListOptions extends CommonOptions, LetterFilter {
  /** Show at most this many letters: the newest. */
  readonly max: number;
}

/** An error may be a whole stack; the first words say what it is, and --json has all of it. */
const ERROR_LENGTH_MAX = 60;

/** `flash-sale dlq ls`: the open letters, newest last. Always 0: an empty list is an answer. */
export async function dlqLs(
  { terminal, readLetters }: ReadDeps,
  { max, json, ...filter }: ListOptions,
): Promise<ExitCode> {
  const letters = await readLetters();
  const shown = await letters.newest(filter, max);
  if (json) printJson(terminal, shown.map(letterJson));
  else if (shown.length === 0) {
    const of = filter.reason === undefined ? '' : ` of ${filter.reason}`;
    terminal.out(`No dead letters${of}.\n`);
  } else {
    const head = ['time', 'request_id', 'reason', 'generation', 'item', 'error', 'state'];
    terminal.out(table(terminal, shown.map(letterRow), head));
    const { letters: total } = await letters.totals(filter);
    if (shown.length < total) {
      terminal.out(`The newest ${shown.length} of ${total}; --max shows more.\n`);
    }
  }
  printWarnings(terminal, letters);
  return 0;
}

function letterRow(letter: StoredDeadLetter): Cell[] {
  return [
    timeOf(letter.at) ?? '-',
    // An unreadable record has only its letter id.
    letter.requestId ?? letter.id,
    letter.reason,
    letter.generation,
    letter.itemId ?? '-',
    shorten(letter.error, ERROR_LENGTH_MAX),
    stateOf(letter),
  ];
}

interface ShowOptions extends CommonOptions {
  /** A request_id, which may have several letters, or a letter id. */
  readonly id: string;
}

/** `flash-sale dlq show`: everything about the letters of one order. Throws when there is none. */
export async function dlqShow(
  { terminal, readLetters }: ReadDeps,
  options: ShowOptions,
): Promise<ExitCode> {
  const read = await readLetters();
  const letters = [...(await read.of([options.id]))].sort((one, other) => one.at - other.at);
  const text = letters.map((letter) => letterText(terminal, letter)).join('');
  printResult(terminal, options, letters.map(wholeLetterJson), text);
  printWarnings(terminal, read);
  return 0;
}

function letterText(terminal: Terminal, letter: StoredDeadLetter): string {
  const { source, marks = [] } = letter;
  const rows: Cell[][] = [
    ['letter id', letter.id],
    ['time', timeOf(letter.at) ?? 'not said'],
    ['request_id', letter.requestId ?? 'none that could be read'],
    ['item', letter.itemId ?? 'none that could be read'],
    ['reason', { text: letter.reason, colour: 'red' }],
    ['error', letter.error],
    ['generation', letter.generation],
    ['order id', letter.orderId ?? 'none'],
    ['run', letter.runId ?? 'none'],
    ['read from', source ? `${source.topic}:${source.partition}:${source.offset}` : 'not said'],
    ['stored at', `${letter.partition}:${letter.offset}`],
    ['state', stateOf(letter)],
    ...marks.map((mark): Cell[] => [
      mark.kind,
      `${timeOf(mark.at) ?? 'at an unknown time'} by ${mark.by}: ${mark.why}`,
    ]),
  ];
  return `${table(terminal, rows)}${originalBytes(letter.value)}`;
}

/** A screenful or two; --json has the rest. */
const SHOWN_BYTES_MAX = 4_096;
const BYTES_PER_LINE = 16;

/** The beginning of a record: as text with control characters escaped, or in hexadecimal where it is no text. */
function originalBytes(bytes: Buffer): string {
  const head = `original record, ${bytes.length} bytes:\n`;
  if (bytes.length === 0) return head;
  const text = utf8Text(bytes);
  const body =
    text === undefined
      ? hexLines(bytes.subarray(0, SHOWN_BYTES_MAX))
      : `  ${plain(text.slice(0, SHOWN_BYTES_MAX))}`;
  const rest = bytes.length > SHOWN_BYTES_MAX ? '\n  … and more: --json shows all of it' : '';
  return `${head}${body}${rest}\n`;
}

function hexLines(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const line = bytes.subarray(at, at + BYTES_PER_LINE);
    const hex = (line.toString('hex').match(/../g) ?? []).join(' ');
    const text = line.toString('latin1').replace(/[^\x20-\x7e]/g, '.');
    const offset = at.toString(16).padStart(4, '0');
    lines.push(`  ${offset}  ${hex.padEnd(3 * BYTES_PER_LINE)} ${text}`);
  }
  return lines.join('\n');
}

/** `flash-sale dlq stats`: how many letters of which kind, the most frequent first. Always 0. */
export async function dlqStats(
  { terminal, readLetters }: ReadDeps,
  { json, ...filter }: CommonOptions & LetterFilter,
): Promise<ExitCode> {
  const letters = await readLetters();
  const stats = await letters.count(filter);
  if (json) printJson(terminal, stats);
  else if (stats.total === 0) terminal.out('No dead letters.\n');
  else {
    const head = ['count', 'first', 'last'];
    const failures = stats.by_failure.map(({ reason, error, ...counts }) => [
      reason,
      shorten(error, ERROR_LENGTH_MAX),
      ...countCells(counts),
    ]);
    const items = stats.by_item.map(({ item_id, ...counts }) => [
      item_id ?? '-',
      ...countCells(counts),
    ]);
    terminal.out(table(terminal, failures, ['reason', 'error', ...head]));
    terminal.out(table(terminal, items, ['item', ...head]));
    terminal.out(`In all: ${stats.total}.\n`);
  }
  printWarnings(terminal, letters);
  return 0;
}

function countCells({ count, first, last }: LetterCount): Cell[] {
  return [count, first ?? '-', last ?? '-'];
}

interface DiscardOptions extends ActionOptions {
  /** Letter ids; a request_id counts as one while it has a single open letter. */
  readonly ids: readonly string[];
}

/** `flash-sale dlq discard`: marks letters as dealt with. Throws before any write for an id that names no single letter. */
export async function dlqDiscard(
  deps: DiscardDeps & Operator & { readonly terminal: Terminal },
  options: DiscardOptions,
): Promise<ExitCode> {
  const { terminal, by, record } = deps;
  const { ids } = options;
  const why = requireReason(options.why, by);
  const discarded = await record(
    { action: 'dead-letters.discard', why, request: { ids } },
    () => discardLetters(ids, { by, why }, deps),
    (letters) => ({ outcome: 'done', after: { letters } }),
  );
  const lines = discarded.map((one) => `${plain(one.letter_id)}: ${one.outcome}\n`);
  printResult(terminal, options, discarded, lines.join(''));
  return 0;
}
