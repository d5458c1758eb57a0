import type { StoredDeadLetter } from '../../../engine/kafka/dead-letters';
import { letterJson } from '../../../engine/dead-letters/letters';
import {
  selectLetters,
  stateOf,
  timeOf,
  type LetterFilter,
} from '../../../engine/dead-letters/letters';
import { shorten, table, type Cell } from '../../output/table';
import { printJson, type ExitCode, type Terminal } from '../../output/terminal';

export interface DlqReadDeps {
  readonly terminal: Terminal;
  /** The newest letters that fit into memory. Throws when Kafka does not deliver them. */
  readonly readLetters: () => Promise<readonly StoredDeadLetter[]>;
}

export interface DlqLsOptions extends LetterFilter {
  /** Letters to show at most: the newest. */
  readonly max: number;
  readonly json?: boolean | undefined;
}

/** An error may be a whole stack; the first words say what it is, --json has them all. */
const ERROR_LENGTH_MAX = 60;

/** `flash-sale dlq ls`: what failed and is still to be dealt with, newest last. Always 0: an empty list is an answer. */
export async function dlqLs(
  { terminal, readLetters }: DlqReadDeps,
  { max, json, ...filter }: DlqLsOptions,
): Promise<ExitCode> {
  const letters = selectLetters(await readLetters(), filter);
  const shown = letters.slice(-max);
  if (json) printJson(terminal, shown.map(letterJson));
  else if (shown.length === 0) {
    const of = filter.reason === undefined ? '' : ` of ${filter.reason}`;
    terminal.out(`No dead letters${of}.\n`);
  } else {
    terminal.out(table(terminal, shown.map(toRow), HEAD));
    if (shown.length < letters.length) {
      terminal.out(`The newest ${shown.length} of ${letters.length}; --max shows more.\n`);
    }
  }
  return 0;
}

const HEAD = ['time', 'request_id', 'reason', 'generation', 'item', 'error', 'state'];

function toRow(letter: StoredDeadLetter): Cell[] {
  return [
    timeOf(letter.at) ?? '-',
    // A record that could not be read is known by its letter id alone.
    letter.requestId ?? letter.id,
    letter.reason,
    letter.generation,
    letter.itemId ?? '-',
    shorten(letter.error, ERROR_LENGTH_MAX),
    stateOf(letter),
  ];
}
