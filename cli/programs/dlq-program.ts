import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseMoment } from '../../engine/dead-letters/operator';
import { FAILURE_REASONS } from '../../engine/orders/order';
import type { DlqDiscardOptions } from '../commands/dlq/discard';
import type { DlqLsOptions } from '../commands/dlq/ls';
import type { DlqReplayOptions } from '../commands/dlq/replay';
import type { DlqShowOptions } from '../commands/dlq/show';
import type { DlqStatsOptions } from '../commands/dlq/stats';
import type { ExitCode } from '../output/terminal';
import { add, wholeNumber, type CommonOptions } from '../usage';

/** What the words after `dlq` end in. */
export interface DlqCommands {
  readonly dlqLs: (options: CommonOptions & DlqLsOptions) => Promise<ExitCode>;
  readonly dlqShow: (options: CommonOptions & DlqShowOptions) => Promise<ExitCode>;
  readonly dlqStats: (options: CommonOptions & DlqStatsOptions) => Promise<ExitCode>;
  readonly dlqReplay: (options: CommonOptions & DlqReplayOptions) => Promise<ExitCode>;
  readonly dlqDiscard: (options: CommonOptions & DlqDiscardOptions) => Promise<ExitCode>;
}

/** Starts a second: well below what a small machine sells, so that a sale goes on beside a replay. */
const RATE = 10;

/** Describes the commands about dead letters; `end` gets the exit code of the one that ran. */
export function addDlqCommands(
  program: Command,
  commands: DlqCommands,
  end: (code: ExitCode) => void,
): void {
  const dlq = program.command('dlq').description('The dead letters: orders that failed');
  const ls = add(dlq, 'ls', 'Dead letters, newest last', [
    'flash-sale dlq ls --reason payment-declined --since 2h',
  ]).option('--max <number>', 'show at most this many', wholeNumber(1, 10_000), 50);
  addFilter(ls).action(async (options: CommonOptions & DlqLsOptions) => {
    end(await commands.dlqLs(options));
  });

  add(dlq, 'show <id>', 'Everything of the letters of one order (request_id or letter id)', [
    'flash-sale dlq show req-123',
  ]).action(async (id: string, options: CommonOptions) => {
    end(await commands.dlqShow({ ...options, id }));
  });

  const stats = add(dlq, 'stats', 'How many letters by reason and error, and by item', [
    'flash-sale dlq stats --since 2026-11-24',
  ]);
  addFilter(stats).action(async (options: CommonOptions & DlqStatsOptions) => {
    end(await commands.dlqStats(options));
  });

  const replay = add(
    dlq,
    'replay [ids...]',
    'Try failed orders again: those named, or all that fit',
    [
      'flash-sale dlq replay req-123 --why "the card was renewed"',
      'flash-sale dlq replay --reason payment-unknown --since 1h --dry-run',
      'flash-sale dlq replay orders:3:42 --mended order.json --why "amount was a text"',
    ],
  )
    .option('--why <text>', 'your reason, recorded with your name; needed unless --dry-run')
    .option('--dry-run', 'only say what would happen')
    .option(
      '--max <number>',
      'start at most this many, the oldest first',
      wholeNumber(1, 1_000_000),
    )
    .option('--rate <number>', 'start at most so many a second', wholeNumber(1, 1_000), RATE)
    .option('--mended <file>', 'the corrected JSON record of one unreadable letter');
  addFilter(replay).action(
    async (ids: string[], options: CommonOptions & Omit<DlqReplayOptions, 'ids'>) => {
      end(await commands.dlqReplay({ ...options, ids }));
    },
  );

  add(dlq, 'discard <ids...>', 'Mark letters as dealt with; nothing is deleted', [
    'flash-sale dlq discard req-123 --why "the buyer has paid in the shop"',
  ])
    .option('--why <text>', 'your reason, recorded with your name; needed')
    .action(async (ids: string[], options: CommonOptions & Omit<DlqDiscardOptions, 'ids'>) => {
      end(await commands.dlqDiscard({ ...options, ids }));
    });
}

function addFilter(command: Command): Command {
  return command
    .addOption(new Option('--reason <reason>', 'only this reason').choices(FAILURE_REASONS))
    .option('--item <id>', 'only this item')
    .option('--since <time>', 'not before: 2026-11-24T10:00Z, or 30m, 2h, 7d ago', moment)
    .option('--until <time>', 'not after, written in the same ways', moment)
    .option('--all', 'also letters that were replayed, sold since or discarded');
}

function moment(text: string): number {
  const at = parseMoment(text, Date.now());
  if (at !== undefined) return at;
  throw new InvalidArgumentError(
    'It must be a time such as 2026-11-24 or 2026-11-24T10:00Z (UTC unless it says otherwise), or 90s, 30m, 2h, 7d ago.',
  );
}
