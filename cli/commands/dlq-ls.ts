import type { FailureReason } from '../../domain/order';
import type { StoredDeadLetter } from '../../orderlog/dead-letters';
import { shorten, table, type Cell } from '../output/table';
import { printJson, type ExitCode, type Terminal } from '../output/terminal';

export interface DlqLsDeps {
  readonly terminal: Terminal;
  /** The newest letters that fit into memory. Throws when Kafka does not deliver them. */
  readonly readLetters: () => Promise<readonly StoredDeadLetter[]>;
}

export interface DlqLsOptions {
  /** Letters to show at most: the newest. */
  readonly max: number;
  /** Absent: all. */
  readonly reason?: FailureReason | undefined;
  readonly json?: boolean | undefined;
}

/** An error may be a whole stack; the first words say what it is, --json has them all. */
const ERROR_LENGTH_MAX = 60;

/** `flash-sale dlq ls`: what failed, newest last. Always 0: an empty list is an answer. */
export async function dlqLs(
  { terminal, readLetters }: DlqLsDeps,
  { max, reason, json }: DlqLsOptions,
): Promise<ExitCode> {
  const letters = (await readLetters())
    .filter((letter) => reason === undefined || letter.reason === reason)
    .sort((one, other) => one.at - other.at);
  const shown = letters.slice(-max);
  if (json) printJson(terminal, shown.map(toJson));
  else if (shown.length === 0) {
    terminal.out(reason === undefined ? 'No dead letters.\n' : `No dead letters of ${reason}.\n`);
  } else {
    terminal.out(table(terminal, shown.map(toRow), HEAD));
    if (shown.length < letters.length) {
      terminal.out(`The newest ${shown.length} of ${letters.length}; --max shows more.\n`);
    }
  }
  return 0;
}

const HEAD = ['time', 'request_id', 'reason', 'generation', 'item', 'error'];

function toRow(letter: StoredDeadLetter): Cell[] {
  return [
    timeOf(letter) ?? '-',
    letter.requestId ?? '-',
    letter.reason,
    letter.generation,
    letter.itemId ?? '-',
    shorten(letter.error, ERROR_LENGTH_MAX),
  ];
}

function toJson(letter: StoredDeadLetter) {
  return {
    at: timeOf(letter) ?? null,
    request_id: letter.requestId ?? null,
    reason: letter.reason,
    generation: letter.generation,
    item_id: letter.itemId ?? null,
    error: letter.error,
    id: letter.id,
    run_id: letter.runId ?? null,
    partition: letter.partition,
    offset: letter.offset,
    source: letter.source ?? null,
  };
}

/** A record that another hand has put there may say no time, or one that no calendar has. */
function timeOf({ at }: StoredDeadLetter): string | undefined {
  const time = new Date(at);
  return at === 0 || Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}
