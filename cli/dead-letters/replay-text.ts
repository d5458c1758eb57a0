import { paint, plain, printJson, type Colour, type Terminal } from '../output/terminal';
import { table, type Cell } from '../output/table';
import type { ReplayOutcome, ReplayResult } from './replay-orders';
import type { Refused } from './replay-plan';

export interface ReplayReport {
  readonly results: readonly ReplayResult[];
  readonly refused: readonly Refused[];
  /** Orders that were not looked at, since --max was reached. */
  readonly left: number;
}

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
    printJson(terminal, toJson(report));
    return;
  }
  if (results.length === 0 && refused.length === 0) {
    terminal.out('No dead letters to replay.\n');
    return;
  }
  const isExpected = ({ outcome }: ReplayResult) => TEXTS[outcome].isStart;
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

const TEXTS = {
  started: { says: 'a new run has been started', colour: 'green', isStart: true },
  'would-start': { says: 'a new run would be started', colour: 'yellow', isStart: true },
  appended: { says: 'the mended record is among the orders', colour: 'green', isStart: true },
  'would-append': { says: 'the mended record would be appended', colour: 'yellow', isStart: true },
  running: { says: 'it is running already: nothing was done', colour: 'grey', isStart: false },
  sold: { says: 'it has been sold since: nothing was done', colour: 'grey', isStart: false },
  cancelled: { says: 'it was cancelled since: it is left alone', colour: 'grey', isStart: false },
  'failed-again': {
    says: 'somebody else tried it just now and it failed: it has a newer letter',
    colour: 'yellow',
    isStart: false,
  },
  'failed-before': {
    says: 'its id is an order already, which failed: replay that without --mended',
    colour: 'red',
    isStart: false,
  },
  'other-order': {
    says: 'its id belongs to another order, for ever: discard it',
    colour: 'red',
    isStart: false,
  },
} as const satisfies Record<
  ReplayOutcome,
  { readonly says: string; readonly colour: Colour; readonly isStart: boolean }
>;

function resultRow({ requestId, outcome }: ReplayResult): Cell[] {
  const { says, colour } = TEXTS[outcome];
  return [requestId, { text: outcome, colour }, says];
}

function refusedRow({ letter, outcome, detail }: Refused): Cell[] {
  return [letter.requestId ?? letter.id, { text: outcome, colour: 'red' }, detail];
}

function summary(results: readonly ReplayResult[]): string {
  const counts = new Map<ReplayOutcome, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const words = [...counts].map(([outcome, count]) => `${count} ${outcome}`);
  return words.length === 0 ? 'Nothing was started.' : `${words.join(', ')}.`;
}

function refusedSummary(refused: readonly Refused[]): string {
  const count = (outcome: Refused['outcome']) =>
    refused.filter((one) => one.outcome === outcome).length;
  return `Left out: ${count('needs-mending')} unreadable (each takes --mended), ${count('other-order')} under the id of another order.`;
}

function toJson({ results, refused, left }: ReplayReport) {
  return {
    orders: [
      ...results.map(({ requestId, letterId, outcome, runId }) => ({
        ...{ request_id: requestId, letter_id: letterId, outcome, run_id: runId ?? null },
        detail: TEXTS[outcome].says,
      })),
      ...refused.map(({ letter, outcome, detail }) => ({
        ...{ request_id: letter.requestId ?? null, letter_id: letter.id, outcome, run_id: null },
        detail,
      })),
    ],
    left,
  };
}
