import type { StoredDeadLetter } from '../../../engine/kafka/dead-letters';
import { wholeLetterJson } from '../../../engine/dead-letters/letters';
import { lettersOf, stateOf, timeOf } from '../../../engine/dead-letters/letters';
import { originalBytes } from '../../output/original-bytes';
import { table, type Cell } from '../../output/table';
import { printJson, type ExitCode, type Terminal } from '../../output/terminal';
import type { DlqReadDeps } from './ls';

export interface DlqShowOptions {
  /** A request_id, which may have several letters, or a letter id. */
  readonly id: string;
  readonly json?: boolean | undefined;
}

/** `flash-sale dlq show`: everything that is known of the letters of one order. Throws when there is none. */
export async function dlqShow(
  { terminal, readLetters }: DlqReadDeps,
  { id, json }: DlqShowOptions,
): Promise<ExitCode> {
  const letters = lettersOf(await readLetters(), id);
  if (json) printJson(terminal, letters.map(wholeLetterJson));
  else for (const letter of letters) terminal.out(letterText(terminal, letter));
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
