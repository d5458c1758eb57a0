import type { FailureReason } from '../orders/order';
import type { StoredDeadLetter } from '../kafka/dead-letters';
import { selectLetters, timeOf, type LetterFilter } from './letters';

/** Letters that are alike in something. */
export interface Group {
  readonly count: number;
  /** Milliseconds since the epoch; 0 where no letter says a time. */
  readonly first: number;
  readonly last: number;
}

export interface LetterStats {
  readonly total: number;
  /** The most frequent first, as in `items`. */
  readonly failures: readonly (Group & {
    readonly reason: FailureReason;
    readonly error: string;
  })[];
  readonly items: readonly (Group & { readonly itemId: string | null })[];
}

/** How many letters of which kind fit the filter. Throws an OperatorFault as `selectLetters` does. */
export function countLetters(
  letters: readonly StoredDeadLetter[],
  filter: LetterFilter,
): LetterStats {
  const fitting = selectLetters(letters, filter);
  return {
    total: fitting.length,
    failures: groupBy(fitting, ({ reason, error }) => ({ reason, error })),
    items: groupBy(fitting, ({ itemId = null }) => ({ itemId })),
  };
}

export function statsJson({ total, failures, items }: LetterStats) {
  return {
    total,
    by_failure: failures.map(({ reason, error, ...group }) => ({
      ...{ reason, error },
      ...groupJson(group),
    })),
    by_item: items.map(({ itemId, ...group }) => ({ item_id: itemId, ...groupJson(group) })),
  };
}

function groupBy<Key extends object>(
  letters: readonly StoredDeadLetter[],
  keyOf: (letter: StoredDeadLetter) => Key,
): (Group & Key)[] {
  const groups = new Map<string, Group & Key>();
  for (const letter of letters) {
    const key = keyOf(letter);
    // As JSON, so that no two keys of several words run together.
    const name = JSON.stringify(key);
    const { count, first, last } = groups.get(name) ?? { count: 0, first: 0, last: 0 };
    // The letters come by time, and those that say none (0) come first.
    const group = { count: count + 1, first: first || letter.at, last: letter.at || last };
    groups.set(name, { ...key, ...group });
  }
  return [...groups.values()].sort((one, other) => other.count - one.count);
}

function groupJson({ count, first, last }: Group) {
  return { count, first: timeOf(first) ?? null, last: timeOf(last) ?? null };
}
