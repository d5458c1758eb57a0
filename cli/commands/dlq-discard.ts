import type { MarkWriter, StoredDeadLetter } from '../../orderlog/dead-letters';
import { isOpen, lettersOf } from '../dead-letters/letters';
import { reasonGiven } from '../dead-letters/why';
import { printJson, plain, type ExitCode } from '../output/terminal';
import { NegativeAnswer } from '../plain-fault';
import type { DlqReadDeps } from './dlq-ls';
import type { With } from './dlq-replay';

export interface DlqDiscardDeps extends DlqReadDeps {
  readonly withMarks: With<MarkWriter>;
  readonly by: string;
  readonly now: () => number;
}

export interface DlqDiscardOptions {
  /** Letter ids; a request_id counts as one while it has a single open letter. */
  readonly ids: readonly string[];
  readonly why?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `flash-sale dlq discard`: marks letters as dealt with; their bytes stay where they are. A letter that is marked
 * already stays as it is. Throws a NegativeAnswer, before anything is written, for an id that names no single letter.
 */
export async function dlqDiscard(
  { terminal, readLetters, withMarks, by, now }: DlqDiscardDeps,
  { ids, why, json }: DlqDiscardOptions,
): Promise<ExitCode> {
  const reason = reasonGiven(why, by);
  const letters = await readLetters();
  const named = [...new Set(ids.map((id) => oneLetter(letters, id)))];
  const open = named.filter(isOpen);
  if (open.length > 0) {
    const mark = { kind: 'discarded', by, why: reason, at: now() } as const;
    await withMarks((marks) => Promise.all(open.map((letter) => marks.mark(letter, mark))));
  }
  const answers = named.map((letter) => ({
    letter_id: letter.id,
    request_id: letter.requestId ?? null,
    outcome: open.includes(letter) ? 'discarded' : 'dealt-with-before',
  }));
  if (json) printJson(terminal, answers);
  else
    for (const answer of answers) terminal.out(`${plain(answer.letter_id)}: ${answer.outcome}\n`);
  return 0;
}

function oneLetter(letters: readonly StoredDeadLetter[], id: string): StoredDeadLetter {
  const found = lettersOf(letters, id);
  const exact = found.find((letter) => letter.id === id);
  const open = found.filter(isOpen);
  const only =
    exact ?? (open.length === 0 ? found.at(-1) : open.length === 1 ? open[0] : undefined);
  if (only) return only;
  throw new NegativeAnswer(
    `${id} has ${open.length} open dead letters: name the ones to discard, ${open.map((letter) => letter.id).join(', ')}. Nothing was changed.`,
  );
}
