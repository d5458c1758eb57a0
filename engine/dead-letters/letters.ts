import type { FailureReason } from '../orders/order';
import type { DeadLetterMark } from '../orders/dead-letter';
import type { StoredDeadLetter } from '../kafka/dead-letters';
import { OperatorFault } from './operator-error';

/** Which letters an operator asks about. What is absent does not narrow. */
export interface LetterFilter {
  readonly reason?: FailureReason | undefined;
  readonly item?: string | undefined;
  /** Milliseconds since the epoch, both included. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Also those that have been dealt with. */
  readonly all?: boolean | undefined;
}

/**
 * The letters that fit, oldest first. A letter that does not say when it was written fits no time. Throws an
 * OperatorFault for a time that ends before it begins.
 */
export function selectLetters(
  letters: readonly StoredDeadLetter[],
  filter: LetterFilter,
): StoredDeadLetter[] {
  const { reason, item, since = -Infinity, until = Infinity, all } = filter;
  if (since > until) {
    throw new OperatorFault('invalid', 'since is later than until: no time is between them.');
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

/** What was last done about a letter; undefined while it is open. */
export function lastMark({ marks }: StoredDeadLetter): DeadLetterMark | undefined {
  return marks?.at(-1);
}

/** Nobody has dealt with it yet. */
export function isOpen(letter: StoredDeadLetter): boolean {
  return lastMark(letter) === undefined;
}

/** The letters of a request_id, or the one of a letter id. Throws an OperatorFault when there is none. */
export function lettersOf(letters: readonly StoredDeadLetter[], id: string): StoredDeadLetter[] {
  const found = letters.filter((letter) => letter.id === id || letter.requestId === id);
  if (found.length > 0) return found.sort((one, other) => one.at - other.at);
  const message = `No dead letter has the request_id or letter id ${id}. Nothing was changed.`;
  throw new OperatorFault('unknown-letter', message);
}

/** For a letter that is left alone, since somebody has dealt with it: who, when and why. */
export function dealtWith(id: string, mark: DeadLetterMark): OperatorFault {
  const when = timeOf(mark.at) ?? 'an unknown time';
  const message = `${id} was ${mark.kind} by ${mark.by} at ${when} (${mark.why}). Nothing was changed.`;
  return new OperatorFault('dealt-with', message);
}

/** When a letter was written, for people; undefined for a record of another hand that says no time, or an impossible one. */
export function timeOf(at: number): string | undefined {
  const time = new Date(at);
  return at === 0 || Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}

/** What has become of a letter in one word. */
export function stateOf(letter: StoredDeadLetter) {
  return lastMark(letter)?.kind ?? 'open';
}
