import type { StoredDeadLetter } from '../kafka/dead-letters';
import { isOpen, lettersOf } from './letters';
import { OperatorError, type Operator } from './operator';
import type { ReplayDeps } from './replay';

export type DiscardDeps = Pick<ReplayDeps, 'readLetters' | 'withMarks' | 'now'>;

/**
 * Marks letters as discarded; their records stay in the topic. `ids` are letter ids; a request_id is accepted while it has
 * one open letter. A letter with a mark keeps that mark. Throws an OperatorError before anything is written when an id
 * matches no letter or several open ones.
 */
export async function discardLetters(
  ids: readonly string[],
  operator: Operator,
  { readLetters, withMarks, now }: DiscardDeps,
) {
  const letters = await (await readLetters()).of(ids);
  const chosen = [...new Set(ids.map((id) => oneLetter(letters, id)))];
  const open = chosen.filter(isOpen);
  if (open.length > 0) {
    const mark = { kind: 'discarded', ...operator, at: now() } as const;
    await withMarks((marks) => Promise.all(open.map((letter) => marks.mark(letter, mark))));
  }
  return chosen.map((letter) => ({
    letter_id: letter.id,
    request_id: letter.requestId ?? null,
    outcome: open.includes(letter) ? 'discarded' : 'dealt-with-before',
  }));
}

function oneLetter(letters: readonly StoredDeadLetter[], id: string): StoredDeadLetter {
  const found = lettersOf(letters, id);
  const exact = found.find((letter) => letter.id === id);
  const open = found.filter(isOpen);
  const only = exact ?? (open.length > 1 ? undefined : (open[0] ?? found.at(-1)));
  if (only) return only;
  const names = open.map((letter) => letter.id).join(', ');
  throw new OperatorError(
    'several-letters',
    `${id} has ${open.length} open dead letters. Name the ones to discard: ${names}. Nothing was changed.`,
  );
}
