import type { MarkWriter, StoredDeadLetter } from '../kafka/dead-letters';
import { isOpen, lettersOf } from './letters';
import type { Operator } from './operator';
import { OperatorFault } from './operator-error';
import type { With } from './replay';

export interface DiscardDeps {
  readonly readLetters: () => Promise<readonly StoredDeadLetter[]>;
  readonly withMarks: With<MarkWriter>;
  readonly now: () => number;
}

export interface DiscardAnswer {
  readonly letter_id: string;
  readonly request_id: string | null;
  readonly outcome: 'discarded' | 'dealt-with-before';
}

/**
 * Marks letters as dealt with; their bytes stay where they are. `ids` are letter ids; a request_id counts as one while it
 * has a single open letter. A letter that is marked already stays as it is. Throws an OperatorFault, before anything is
 * written, for an id that names no single letter.
 */
export async function discardLetters(
  ids: readonly string[],
  operator: Operator,
  { readLetters, withMarks, now }: DiscardDeps,
): Promise<readonly DiscardAnswer[]> {
  const letters = await readLetters();
  const named = [...new Set(ids.map((id) => oneLetter(letters, id)))];
  const open = named.filter(isOpen);
  if (open.length > 0) {
    const mark = { kind: 'discarded', ...operator, at: now() } as const;
    await withMarks((marks) => Promise.all(open.map((letter) => marks.mark(letter, mark))));
  }
  return named.map((letter) => ({
    letter_id: letter.id,
    request_id: letter.requestId ?? null,
    outcome: open.includes(letter) ? 'discarded' : 'dealt-with-before',
  }));
}

function oneLetter(letters: readonly StoredDeadLetter[], id: string): StoredDeadLetter {
  const found = lettersOf(letters, id);
  const exact = found.find((letter) => letter.id === id);
  const open = found.filter(isOpen);
  const only =
    exact ?? (open.length === 0 ? found.at(-1) : open.length === 1 ? open[0] : undefined);
  if (only) return only;
  const names = open.map((letter) => letter.id).join(', ');
  throw new OperatorFault(
    'several-letters',
    `${id} has ${open.length} open dead letters: name the ones to discard, ${names}. Nothing was changed.`,
  );
}
