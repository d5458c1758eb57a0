import { readFile } from 'node:fs/promises';
import type { LetterFilter } from '../../../engine/dead-letters/letters';
import { replay, type ReplayDeps } from '../../../engine/dead-letters/replay';
import { parseMendedOrder } from '../../../engine/dead-letters/replay-plan';
import { OUTCOMES, type ReplayResult } from '../../../engine/dead-letters/replay';
import type { StoredDeadLetter } from '../../../engine/kafka/dead-letters';
import { progressBar } from '../../output/progress-bar';
import { printReplay } from '../../output/replay-text';
import type { ExitCode } from '../../output/terminal';
import { reasonGiven } from '../../arguments/reason-given';
import type { DlqReadDeps } from './ls';
import { UserError, describeError } from '../../../platform/user-error';

export interface DlqReplayDeps extends DlqReadDeps, Omit<ReplayDeps, 'onProgress'> {
  /** Who is at the terminal. */
  readonly by: string;
  /** Whether somebody watches standard error. */
  readonly isWatched: boolean;
}

export interface DlqReplayOptions extends LetterFilter {
  /** request_ids or letter ids; none: every letter that fits the filter. */
  readonly ids: readonly string[];
  /** Starts at most; absent: all. */
  readonly max?: number | undefined;
  /** Starts a second. */
  readonly rate: number;
  readonly dryRun?: boolean | undefined;
  readonly why?: string | undefined;
  /** A file with the mended record of the one letter that `ids` names. */
  readonly mended?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `flash-sale dlq replay`: tries failed orders again. 0 when every order that was named is started, runs or is sold; 1
 * when one of them cannot be tried as it is. Without names, letters that cannot be tried are only counted.
 */
export async function dlqReplay(deps: DlqReplayDeps, options: DlqReplayOptions): Promise<ExitCode> {
  const { ids, mended, dryRun = false, json, max = Infinity, rate, ...rest } = options;
  const { why, ...filter } = rest;
  const operator = { by: deps.by, why: dryRun ? (why ?? '') : reasonGiven(why, deps.by) };
  if (mended !== undefined && ids.length !== 1) {
    throw new UserError('--mended takes exactly one request_id or letter id.');
  }
  const progress = createProgress(deps, json === true);
  const readMended = (letter: StoredDeadLetter) => readMendedOrder(mended ?? '', letter);
  const report = await replay(
    {
      ...{ ids, filter, operator, dryRun, rate, max },
      ...(mended !== undefined && { mended: readMended }),
    },
    { ...deps, onProgress: progress.show },
  ).finally(progress.end);
  printReplay(deps.terminal, report, { json: json === true, named: ids.length > 0 });
  const isDone = ({ outcome }: ReplayResult) => OUTCOMES[outcome].isDone;
  const allDone = report.results.every(isDone) && report.refused.length === 0;
  return ids.length > 0 && !allDone ? 1 : 0;
}

async function readMendedOrder(file: string, letter: StoredDeadLetter) {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new UserError(`Cannot read ${file} (${describeError(cause)}). Nothing was changed.`, {
      cause,
    });
  });
  return parseMendedOrder(bytes, letter, file);
}

function createProgress(
  { terminal, isWatched }: Pick<DlqReplayDeps, 'terminal' | 'isWatched'>,
  json: boolean,
) {
  let shown = false;
  return {
    show: (results: readonly ReplayResult[], orders: number) => {
      if (!isWatched || json) return;
      const started = results.filter(({ outcome }) => outcome === 'started').length;
      // One line that writes itself anew; the spaces wipe what is left of a longer one.
      const bar = progressBar(results.length, orders);
      terminal.err(`\r${bar} ${results.length} of ${orders}, ${started} started  `);
      shown = true;
    },
    end: () => {
      if (shown) terminal.err('\n');
    },
  };
}
