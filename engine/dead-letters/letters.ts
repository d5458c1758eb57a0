import type { FailureReason } from '../orders/order';
import type { DeadLetterMark } from '../orders/dead-letter';
import type { StoredDeadLetter } from '../kafka/dead-letters';
import { OperatorError } from './operator';

/** Selects letters; an absent field does not narrow the selection. */
export interface LetterFilter {
  readonly reason?: FailureReason | undefined;
  readonly item?: string | undefined;
  /** Milliseconds since the epoch, both inclusive. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Also letters that were replayed, sold or discarded. */
  readonly all?: boolean | undefined;
}

/** Failures of an order that may end another way next time. */
export const RETRYABLE: readonly FailureReason[] = [
  'payment-declined',
  'payment-unknown',
  'sold-out',
  'purchase-limit',
  'sale-lost',
];

/**
 * The letters that match, oldest first. A letter without a time matches no `since` or `until`. Throws an OperatorError
 * when `since` is later than `until`.
 */
export function selectLetters(
  letters: readonly StoredDeadLetter[],
  filter: LetterFilter,
): StoredDeadLetter[] {
  const { reason, item, since = -Infinity, until = Infinity, all } = filter;
  if (since > until) {
    throw new OperatorError('invalid', 'since is later than until: no time is between them.');
  }
  const isTimed = filter.since !== undefined || filter.until !== undefined;
  return letters
    .filter(
      (letter) =>
        (reason === undefined || letter.reason === reason) &&
        (item === undefined || letter.itemId === item) &&
        (!isTimed || (letter.at !== 0 && letter.at >= since && letter.at <= until)) &&
        (all === true || isOpen(letter)),
    )
    .sort((one, other) => one.at - other.at);
}

/** The letters of a request_id, or the one with this letter id, oldest first. Throws an OperatorError when there is none. */
export function lettersOf(letters: readonly StoredDeadLetter[], id: string): StoredDeadLetter[] {
  const found = letters.filter((letter) => letter.id === id || letter.requestId === id);
  if (found.length > 0) return found.sort((one, other) => one.at - other.at);
  const message = `No dead letter has the request_id or letter id ${id}. Nothing was changed.`;
  throw new OperatorError('unknown-letter', message);
}

/** The latest mark of a letter; undefined while the letter is open. */
export function lastMark({ marks }: StoredDeadLetter): DeadLetterMark | undefined {
  return marks?.at(-1);
}

export function isOpen(letter: StoredDeadLetter): boolean {
  return lastMark(letter) === undefined;
}

export function stateOf(letter: StoredDeadLetter) {
  return lastMark(letter)?.kind ?? 'open';
}

/** The error for a letter that is skipped because of its mark. */
export function dealtWith(id: string, mark: DeadLetterMark): OperatorError {
  const when = timeOf(mark.at) ?? 'an unknown time';
  const message = `${id} was ${mark.kind} by ${mark.by} at ${when} (${mark.why}). Nothing was changed.`;
  return new OperatorError('dealt-with', message);
}

/** A letter's or mark's time as text; undefined when the record has no time or an impossible one. */
export function timeOf(at: number): string | undefined {
  const time = new Date(at);
  return at === 0 || Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** A letter as JSON, for lists. */
export function letterJson(letter: StoredDeadLetter) {
  return {
    at: timeOf(letter.at) ?? null,
    request_id: letter.requestId ?? null,
    order_id: letter.orderId ?? null,
    reason: letter.reason,
    generation: letter.generation,
    item_id: letter.itemId ?? null,
    error: letter.error,
    id: letter.id,
    run_id: letter.runId ?? null,
    partition: letter.partition,
    offset: letter.offset,
    source: letter.source ?? null,
    state: stateOf(letter),
    marks: (letter.marks ?? []).map(({ kind, by, why, at, runId }) => ({
      kind,
      by,
      why,
      at: timeOf(at) ?? null,
      run_id: runId ?? null,
    })),
  };
}

/** A letter as JSON with its original bytes, also as text where they are valid UTF-8. */
export function wholeLetterJson(letter: StoredDeadLetter) {
  return {
    ...letterJson(letter),
    value: utf8Text(letter.value) ?? null,
    value_base64: letter.value.toString('base64'),
  };
}

/** The bytes as text; undefined where they are not valid UTF-8. */
export function utf8Text(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  // Invalid bytes were replaced, so the text does not encode to the same bytes.
  return Buffer.from(text).equals(bytes) ? text : undefined;
}

/** Letters that share a failure or an item. `first` and `last` are null where no letter has a time. */
export interface LetterCount {
  readonly count: number;
  readonly first: string | null;
  readonly last: string | null;
}

/** Counts the letters that match, the most frequent failure and item first. Throws as `selectLetters` does. */
export function countLetters(letters: readonly StoredDeadLetter[], filter: LetterFilter) {
  const matching = selectLetters(letters, filter);
  return {
    total: matching.length,
    by_failure: countBy(matching, ({ reason, error }) => ({ reason, error })),
    by_item: countBy(matching, ({ itemId = null }) => ({ item_id: itemId })),
  };
}

function countBy<Key extends object>(
  letters: readonly StoredDeadLetter[],
  keyOf: (letter: StoredDeadLetter) => Key,
): (Key & LetterCount)[] {
  const groups = new Map<string, Key & LetterCount>();
  for (const letter of letters) {
    const key = keyOf(letter);
    // JSON keeps keys of several fields apart.
    const name = JSON.stringify(key);
    const { count = 0, first = null, last = null } = groups.get(name) ?? {};
    // The letters are sorted by time.
    const at = timeOf(letter.at) ?? null;
    groups.set(name, { ...key, count: count + 1, first: first ?? at, last: at ?? last });
  }
  return [...groups.values()].sort((one, other) => other.count - one.count);
}
