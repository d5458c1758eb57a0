import type { StoredDeadLetter } from '../../orderlog/dead-letters';
import { selectLetters, timeOf, type LetterFilter } from '../dead-letters/letters';
import { shorten, table, type Cell } from '../output/table';
import { printJson, type ExitCode } from '../output/terminal';
import type { DlqReadDeps } from './dlq-ls';

export interface DlqStatsOptions extends LetterFilter {
  readonly json?: boolean | undefined;
}

const ERROR_LENGTH_MAX = 60;

/** `flash-sale dlq stats`: how many letters of which kind, the most frequent first. Always 0. */
export async function dlqStats(
  { terminal, readLetters }: DlqReadDeps,
  { json, ...filter }: DlqStatsOptions,
): Promise<ExitCode> {
  const letters = selectLetters(await readLetters(), filter);
  const failures = groupBy(letters, ({ reason, error }) => [reason, error]);
  const items = groupBy(letters, ({ itemId }) => [itemId ?? null]);
  if (json) {
    printJson(terminal, {
      total: letters.length,
      by_failure: failures.map(({ key: [reason, error], ...group }) => ({
        ...{ reason, error },
        ...groupJson(group),
      })),
      by_item: items.map(({ key: [item], ...group }) => ({ item_id: item, ...groupJson(group) })),
    });
    return 0;
  }
  if (letters.length === 0) {
    terminal.out('No dead letters.\n');
    return 0;
  }
  const failureRows = failures.map(({ key: [reason, error], ...group }) => [
    ...[reason ?? '-', shorten(error ?? '-', ERROR_LENGTH_MAX)],
    ...groupCells(group),
  ]);
  const itemRows = items.map(({ key: [item], ...group }) => [item ?? '-', ...groupCells(group)]);
  terminal.out(table(terminal, failureRows, ['reason', 'error', ...GROUP_HEAD]));
  terminal.out(table(terminal, itemRows, ['item', ...GROUP_HEAD]));
  terminal.out(`In all: ${letters.length}.\n`);
  return 0;
}

interface Group {
  readonly count: number;
  /** Milliseconds since the epoch; 0 where no letter says a time. */
  readonly first: number;
  readonly last: number;
}

type KeyedGroup = Group & { readonly key: readonly (string | null)[] };

function groupBy(
  letters: readonly StoredDeadLetter[],
  keyOf: (letter: StoredDeadLetter) => readonly (string | null)[],
): KeyedGroup[] {
  const groups = new Map<string, KeyedGroup>();
  for (const letter of letters) {
    const key = keyOf(letter);
    // As JSON, so that no two keys of several words run together.
    const name = JSON.stringify(key);
    const { count, first, last } = groups.get(name) ?? { count: 0, first: 0, last: 0 };
    // The letters come by time, and those that say none (0) come first.
    groups.set(name, { key, count: count + 1, first: first || letter.at, last: letter.at || last });
  }
  return [...groups.values()].sort((one, other) => other.count - one.count);
}

const GROUP_HEAD = ['count', 'first', 'last'];

function groupCells({ count, first, last }: Group): Cell[] {
  return [count, timeOf(first) ?? '-', timeOf(last) ?? '-'];
}

function groupJson({ count, first, last }: Group) {
  return { count, first: timeOf(first) ?? null, last: timeOf(last) ?? null };
}
