import {
  OUTCOMES,
  replayJson,
  type ReplayOutcome,
  type ReplayReport,
  type ReplayResult,
} from '../../engine/dead-letters/replay';
import type { RefusedLetter } from '../../engine/dead-letters/replay-plan';
import { table, type Cell } from './table';
import { paint, plain, printJson, type Colour, type Terminal } from './terminal';

/** Of a long replay only what did not go as wished is worth a line each. */
const STARTED_ROWS_MAX = 50;

/** What a replay has done, order by order. `named`: by ids, so that every refusal is an answer to somebody. */
export function printReplay(
  terminal: Terminal,
  report: ReplayReport,
  { json, named }: { readonly json: boolean; readonly named: boolean },
): void {
  const { results, refused, left } = report;
  if (json) {
    printJson(terminal, replayJson(report));
    return;
  }
  if (results.length === 0 && refused.length === 0) {
    terminal.out('No dead letters to replay.\n');
    return;
  }
  const isExpected = ({ outcome }: ReplayResult) => STARTS.includes(outcome);
  const expected = results.filter(isExpected).length;
  const shown = results.filter((one) => expected <= STARTED_ROWS_MAX || !isExpected(one));
  const rows = [...shown.map(resultRow), ...(named ? refused.map(refusedRow) : [])];
  if (rows.length > 0) terminal.out(table(terminal, rows, ['request_id', 'outcome', 'that is']));
  terminal.out(`${summary(results)}\n`);
  if (!named && refused.length > 0) terminal.out(`${refusedSummary(refused)}\n`);
  if (left > 0) terminal.out(`${left} more are left for another time.\n`);
  const first = results.find(({ outcome }) => outcome === 'started' || outcome === 'appended');
  if (first) {
    const command = `flash-sale order ${plain(first.requestId)}`;
    terminal.out(`How it ends: ${paint(terminal, 'bold', command)}\n`);
  }
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

/** What a replay is for: these need no line each once there are many. */
const STARTS: readonly ReplayOutcome[] = ['started', 'would-start', 'appended', 'would-append'];

function resultRow({ requestId, outcome }: ReplayResult): Cell[] {
  return [requestId, { text: outcome, colour: COLOURS[outcome] }, OUTCOMES[outcome].detail];
}

function refusedRow({ letter, outcome, detail }: RefusedLetter): Cell[] {
  const how = outcome === 'needs-mending' ? ' (--mended <file>)' : '';
  return [letter.requestId ?? letter.id, { text: outcome, colour: 'red' }, detail + how];
}

function summary(results: readonly ReplayResult[]): string {
  const counts = new Map<ReplayOutcome, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const words = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  return words.length === 0 ? 'Nothing was started.' : `${words.join(', ')}.`;
}

function refusedSummary(refused: readonly RefusedLetter[]): string {
  const count = (outcome: RefusedLetter['outcome']) =>
    refused.filter((one) => one.outcome === outcome).length;
  return `Left out: ${count('needs-mending')} unreadable (each takes --mended), ${count('other-order')} under the id of another order.`;
}
