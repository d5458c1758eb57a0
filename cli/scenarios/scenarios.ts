import { describeError } from '../../platform/user-error';
import { paint, plain, printJson, type ExitCode, type Terminal } from '../output/terminal';
import { failedPayments } from './failed-payments';
import { neverOversold } from './never-oversold';
import type { RunningEngine, Verdict } from './running-engine';
import { sameRequestTwice } from './same-request-twice';

export interface ScenarioResult extends Verdict {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
}

/** `flash-sale scenarios`: 1 when a promise was not kept. `run` gets a printer of lines, which --json silences. */
export async function scenarios(
  terminal: Terminal,
  run: (print: (line: string) => void) => Promise<readonly ScenarioResult[]>,
  { json }: { readonly json?: boolean | undefined },
): Promise<ExitCode> {
  const results = await run((line) => {
    if (!json) terminal.out(`${line}\n`);
  });
  if (json) printJson(terminal, results);
  return results.every(({ passed }) => passed) ? 0 : 1;
}

/** Runs the scenarios one after another and prints a line for each. Leaves its items and orders behind, under fresh ids. */
export async function runScenarios(
  engine: RunningEngine,
  print: (line: string) => void,
  colour = false,
): Promise<readonly ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const [name, run] of Object.entries(SCENARIOS)) {
    const startedAt = performance.now();
    const verdict = await run(engine).catch(notFinished);
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
    const result = { name, passed: verdict.misses.length === 0, seconds, ...verdict };
    results.push(result);
    for (const line of linesOf(result, { colour })) print(line);
  }
  return results;
}

const SCENARIOS: Readonly<Record<string, (engine: RunningEngine) => Promise<Verdict>>> = {
  'the same request twice': sameRequestTwice,
  'never oversold': (engine) => neverOversold(engine),
  '10 % of payments fail': failedPayments,
};

/** A scenario that did not reach its end has shown nothing, whatever the reason. */
function notFinished(error: unknown): Verdict {
  return { figures: 'not finished', misses: [describeError(error)] };
}

const MISSES_MAX = 10;
const NAME_WIDTH = Math.max(...Object.keys(SCENARIOS).map(({ length }) => length));

function linesOf(result: ScenarioResult, terminal: { readonly colour: boolean }): string[] {
  const { name, passed, seconds, figures, misses } = result;
  const mark = passed ? paint(terminal, 'green', 'pass') : paint(terminal, 'red', 'MISS');
  const time = `${seconds.toFixed(1)} s`.padStart(8);
  const rest = misses.length - MISSES_MAX;
  return [
    `${mark}  ${name.padEnd(NAME_WIDTH)} ${time}  ${plain(figures)}`,
    ...misses.slice(0, MISSES_MAX).map((miss) => `      ${plain(miss)}`),
    ...(rest > 0 ? [`      and ${rest} more`] : []),
  ];
}
