import {
  countLetters,
  type LetterCount,
  type LetterFilter,
} from '../../../engine/dead-letters/letters';
import { shorten, table, type Cell } from '../../output/table';
import { printJson, type ExitCode } from '../../output/terminal';
import type { DlqReadDeps } from './ls';

export interface DlqStatsOptions extends LetterFilter {
  readonly json?: boolean | undefined;
}

const ERROR_LENGTH_MAX = 60;

/** `flash-sale dlq stats`: how many letters of which kind, the most frequent first. Always 0. */
export async function dlqStats(
  { terminal, readLetters }: DlqReadDeps,
  { json, ...filter }: DlqStatsOptions,
): Promise<ExitCode> {
  const stats = countLetters(await readLetters(), filter);
  if (json) {
    printJson(terminal, stats);
    return 0;
  }
  if (stats.total === 0) {
    terminal.out('No dead letters.\n');
    return 0;
  }
  const failureRows = stats.by_failure.map(({ reason, error, ...counts }) => [
    reason,
    shorten(error, ERROR_LENGTH_MAX),
    ...countCells(counts),
  ]);
  const itemRows = stats.by_item.map(({ item_id, ...counts }) => [
    item_id ?? '-',
    ...countCells(counts),
  ]);
  terminal.out(table(terminal, failureRows, ['reason', 'error', ...GROUP_HEAD]));
  terminal.out(table(terminal, itemRows, ['item', ...GROUP_HEAD]));
  terminal.out(`In all: ${stats.total}.\n`);
  return 0;
}

const GROUP_HEAD = ['count', 'first', 'last'];

function countCells({ count, first, last }: LetterCount): Cell[] {
  return [count, first ?? '-', last ?? '-'];
}
