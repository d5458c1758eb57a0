import { printJson, type ExitCode, type Terminal } from '../output/terminal';
import type { RunOptions, ScenarioResult } from '../scenarios/run-scenarios';

export interface ScenariosDeps {
  readonly terminal: Terminal;
  readonly run: (
    output: Pick<RunOptions, 'print' | 'colour'>,
  ) => Promise<readonly ScenarioResult[]>;
}

/** `flash-sale scenarios`: 1 when a promise was not kept. Throws a UserError when there is no stack to run against. */
export async function scenarios(
  { terminal, run }: ScenariosDeps,
  { json }: { readonly json?: boolean | undefined },
): Promise<ExitCode> {
  const print = (line: string) => {
    if (!json) terminal.out(`${line}\n`);
  };
  const results = await run({ print, colour: terminal.colour });
  if (json) printJson(terminal, results);
  return results.every(({ passed }) => passed) ? 0 : 1;
}
