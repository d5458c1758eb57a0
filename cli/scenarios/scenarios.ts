import type { Command } from 'commander';
import { describeError } from '../../platform/user-error';
import { addCommand, type CommonOptions, type End } from '../command';
import type { Context } from '../context';
import { paint, plain, printJson, type ExitCode, type Terminal } from '../terminal';
import { failedPayments } from './failed-payments';
import { neverOversold } from './never-oversold';
import { withRunningEngine, type RunningEngine, type Verdict } from './running-engine';
import { sameRequestTwice } from './same-request-twice';

/** Adds `scenarios`. */
export function addScenariosCommand(program: Command, actions: ScenariosActions, end: End): void {
  addCommand(
    program,
    'scenarios',
    'Try what the engine promises, on fresh items of the running stack',
    'flash-sale scenarios',
  ).action((options: CommonOptions) => end(actions.scenarios(options)));
}

export const scenariosActions = ({ terminal, addresses, access, config }: Context) => ({
  scenarios: (options: CommonOptions) => {
    const run = (print: (line: string) => void) =>
      withRunningEngine(
        addresses(options).addresses,
        access(options),
        config().deadLetterTopic,
        (engine) => runScenarios(engine, print, terminal.colour),
      );
    return scenarios(terminal, run, options);
  },
});

type ScenariosActions = ReturnType<typeof scenariosActions>;

interface ScenarioResult extends Verdict {
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
}

/** `flash-sale scenarios`: 1 when a promise was not kept. `run` gets a printer of lines, which --json silences. */
export async function scenarios(
  terminal: Terminal,
  run: (print: (line: string) => void) => Promise<readonly ScenarioResult[]>,
  { json }: CommonOptions,
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
