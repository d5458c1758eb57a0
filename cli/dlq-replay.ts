import { readFile } from 'node:fs/promises';
import type { LetterFilter } from '../engine/dead-letters/letters';
import {
  OUTCOMES,
  replay,
  replayJson,
  type Refusal,
  type ReplayDeps,
  type ReplayOutcome,
  type ReplayReport,
  type ReplayResult,
} from '../engine/dead-letters/replay';
import { parseMendedOrder } from '../engine/dead-letters/replay-plan';
import { replayOutcome } from '../engine/operators/outcomes';
import type { StoredDeadLetter } from '../engine/kafka/dead-letters';
import { describeError, UserError } from '../platform/user-error';
import { requireReason, type ActionOptions } from './command';
import type { Operator } from './context';
import {
  paint,
  plain,
  printResult,
  printWarnings,
  table,
  type Cell,
  type Colour,
  type ExitCode,
  type Terminal,
} from './terminal';

export interface ReplayOptions extends ActionOptions, LetterFilter {
  /** request_ids or letter ids; none: every letter that matches the filter. */
  readonly ids: readonly string[];
  /** Start at most this many; absent: all. */
  readonly max?: number | undefined;
  /** Starts per second. */
  readonly rate: number;
  readonly dryRun?: boolean | undefined;
  /** A file with the mended record of the one letter that `ids` names. */
  readonly mended?: string | undefined;
}

interface Deps extends Omit<ReplayDeps, 'onProgress'>, Operator {
  readonly terminal: Terminal;
  /** Whether a person watches standard error. */
  readonly isWatched: boolean;
}

/**
 * `flash-sale dlq replay`: tries failed orders again. 0 when every named order is started, running or sold; 1 when one of
 * them cannot be tried as it is. Without names, letters that cannot be tried are only counted.
 */
export async function dlqReplay(deps: Deps, options: ReplayOptions): Promise<ExitCode> {
  const { ids, mended, dryRun = false, json, max = Infinity, rate, why } = options;
  const { reason, item, since, until, all } = options;
  const filter = { reason, item, since, until, all };
  const { terminal, by, record } = deps;
  const operator = { by, why: dryRun ? (why ?? '') : requireReason(why, by) };
  if (mended !== undefined && ids.length !== 1) {
    throw new UserError('--mended takes exactly one request_id or letter id.');
  }
  const progress = createProgress(deps, json === true);
  const run = () =>
    replay(
      {
        ids,
        filter,
        operator,
        dryRun,
        rate,
        max,
        ...(mended !== undefined && {
          mended: (letter: StoredDeadLetter) => readMendedOrder(mended, letter),
        }),
      },
      { ...deps, onProgress: progress.show },
    ).finally(progress.end);
  const request = { ids, ...filter, max: options.max, rate, mended: mended !== undefined };
  const action = {
    action: 'dead-letters.replay',
    itemId: item,
    why: operator.why,
    request,
  } as const;
  const report = await (dryRun ? run() : record(action, run, replayOutcome));
  const isNamed = ids.length > 0;
  printResult(terminal, options, replayJson(report), replayText(terminal, report, isNamed));
  printWarnings(terminal, report);
  const isDone = ({ outcome }: ReplayResult) => OUTCOMES[outcome].isDone;
  const allDone = report.results.every(isDone) && report.refused.length === 0;
  return isNamed && !allDone ? 1 : 0;
}

async function readMendedOrder(file: string, letter: StoredDeadLetter) {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new UserError(`Cannot read ${file} (${describeError(cause)}). Nothing was changed.`, {
      cause,
    });
  });
  return parseMendedOrder(bytes, letter, file);
}

function createProgress({ terminal, isWatched }: Deps, json: boolean) {
  let shown = false;
  return {
    show: (results: readonly ReplayResult[], orders: number) => {
      if (!isWatched || json) return;
      const started = results.filter(({ outcome }) => outcome === 'started').length;
      // Each line overwrites the one before; the spaces erase the end of a longer one.
      const bar = progressBar(results.length, orders);
      terminal.err(`\r${bar} ${results.length} of ${orders}, ${started} started  `);
      shown = true;
    },
    end: () => {
      if (shown) terminal.err('\n');
    },
  };
}

const BAR_WIDTH = 24;

/** What is done, as a bar of ASCII characters. */
export function progressBar(done: number, total: number): string {
  const filled = total === 0 ? BAR_WIDTH : Math.round((BAR_WIDTH * done) / total);
  return `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}]`;
}

/** In a long replay only the orders with an unwanted outcome get a line each. */
const STARTED_ROWS_MAX = 50;

/** What a replay has done, order by order. Refused letters get a line each where the request named them. */
function replayText(
  terminal: Terminal,
  { results, refused, left }: ReplayReport,
  isNamed: boolean,
): string {
  if (results.length === 0 && refused.length === 0) return 'No dead letters to replay.\n';
  const isStart = ({ outcome }: ReplayResult) => STARTS.includes(outcome);
  const areFew = results.filter(isStart).length <= STARTED_ROWS_MAX;
  const shown = results.filter((result) => areFew || !isStart(result));
  const rows = [...shown.map(resultRow), ...(isNamed ? refused.map(refusedRow) : [])];
  const lines = [summary(results)];
  if (!isNamed && refused.length > 0) lines.push(refusedSummary(refused));
  if (left > 0) lines.push(`${left} more are left for another time.`);
  const first = results.find(({ outcome }) => outcome === 'started' || outcome === 'appended');
  if (first) {
    const command = `flash-sale order ${plain(first.requestId)}`;
    lines.push(`How it ends: ${paint(terminal, 'bold', command)}`);
  }
  const head = ['request_id', 'outcome', 'that is'];
  return `${rows.length > 0 ? table(terminal, rows, head) : ''}${lines.join('\n')}\n`;
}

const COLOURS = {
  started: 'green',
  'would-start': 'yellow',
  appended: 'green',
  'would-append': 'yellow',
  running: 'grey',
  sold: 'grey',
  cancelled: 'grey',
  'failed-again': 'yellow',
  'failed-before': 'red',
  'other-order': 'red',
} as const satisfies Record<ReplayOutcome, Colour>;

/** The wanted outcomes. */
const STARTS: readonly ReplayOutcome[] = ['started', 'would-start', 'appended', 'would-append'];

function resultRow({ requestId, outcome }: ReplayResult): Cell[] {
  return [requestId, { text: outcome, colour: COLOURS[outcome] }, OUTCOMES[outcome].detail];
}

function refusedRow({ letter, outcome, detail }: Refusal): Cell[] {
  const how = outcome === 'needs-mending' ? ' (--mended <file>)' : '';
  return [letter.requestId ?? letter.id, { text: outcome, colour: 'red' }, detail + how];
}

function summary(results: readonly ReplayResult[]): string {
  const counts = new Map<ReplayOutcome, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const words = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  return words.length === 0 ? 'Nothing was started.' : `${words.join(', ')}.`;
}

function refusedSummary(refused: readonly Refusal[]): string {
  const count = (outcome: Refusal['outcome']) =>
    refused.filter((one) => one.outcome === outcome).length;
  return `Left out: ${count('needs-mending')} unreadable (each takes --mended), ${count('other-order')} under the id of another order.`;
}
