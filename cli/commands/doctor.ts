import type { Check, CheckState } from '../doctor/check';
import { table, type Cell } from '../output/table';
import {
  paint,
  plain,
  printJson,
  type Colour,
  type ExitCode,
  type Terminal,
} from '../output/terminal';

/**
 * `flash-sale doctor`: what is there and what is missing, with a remedy for every miss. 1 when something needed is
 * missing; a stack that does not run is not.
 */
export async function doctor(
  deps: { readonly terminal: Terminal; readonly diagnose: () => Promise<readonly Check[]> },
  { json }: { readonly json?: boolean | undefined },
): Promise<ExitCode> {
  const { terminal, diagnose } = deps;
  const checks = await diagnose();
  const missing = checks.filter(({ state }) => state === 'missing');
  if (json) {
    printJson(terminal, { healthy: missing.length === 0, checks });
    return missing.length === 0 ? 0 : 1;
  }
  for (const topic of new Set(checks.map((check) => check.topic))) {
    terminal.out(`${paint(terminal, 'bold', topic)}\n`);
    terminal.out(table(terminal, checks.filter((check) => check.topic === topic).map(toRow)));
  }
  const todo = checks.flatMap(({ name, remedy }) => (remedy ? [[name, remedy] as const] : []));
  if (todo.length > 0) terminal.out(`${paint(terminal, 'bold', 'what to do')}\n`);
  for (const [name, remedy] of todo) terminal.out(`  ${plain(name)}: ${plain(remedy)}\n`);
  const verdict =
    missing.length === 0
      ? paint(terminal, 'green', 'Nothing needed is missing.')
      : paint(terminal, 'red', `Missing: ${missing.map(({ name }) => plain(name)).join(', ')}.`);
  terminal.out(`${verdict}\n`);
  return missing.length === 0 ? 0 : 1;
}

function toRow({ state, name, detail }: Check): Cell[] {
  return [MARKS[state], name, detail];
}

const MARKS = {
  ok: { text: 'ok', colour: 'green' },
  note: { text: '-', colour: 'grey' },
  warning: { text: 'weak', colour: 'yellow' },
  missing: { text: 'MISSING', colour: 'red' },
} as const satisfies Record<CheckState, { text: string; colour: Colour }>;
