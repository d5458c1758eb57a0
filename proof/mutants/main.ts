import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { isAbort } from '../../platform/until';
import { UserError } from '../../platform/user-error';
import { parseWords, runHarness, stopSignal } from '../../stack/harness-command';
import { removeAbandoned } from '../../stack/data-dir';
import { seconds } from '../../stack/report';
import { ADDRESS_VARIABLES, freePorts, loadStackSettings } from '../../stack/settings';
import { startStack } from '../../stack/stack';
import { readMutants, type Mutant } from './mutants';
import { runMutants, type MutantResult } from './run-mutants';

/** Compiled, this file lies in dist/proof/mutants. */
const ROOT = join(__dirname, '..', '..', '..');
const PREFIX = 'mutants-';

/** Exit code 0: every mutant is caught. 1: one survived or is wrong, or the run could not go on. */
async function main(args: readonly string[]): Promise<number> {
  const only = parseOnly(args);
  if (typeof only === 'number') return only;
  const mutants = chooseMutants(only);
  const signal = stopSignal(print);

  removeAbandoned(join(ROOT, 'var'), PREFIX);
  const dataDir = join(ROOT, 'var', `${PREFIX}${process.pid}`);
  const startedAt = Date.now();
  try {
    const results = await onOwnServers(dataDir, signal, (env) => {
      const copy = join(dataDir, 'checkout');
      return runMutants(ROOT, mutants, { copy, env, report: print, signal });
    });
    const caught = results.filter(({ verdict }) => verdict === 'caught').length;
    print(`\n${resultTable(results)}\n`);
    print(`${caught} of ${results.length} mutants caught in ${seconds(Date.now() - startedAt)}.`);
    return caught === results.length ? 0 : 1;
  } catch (error) {
    if (!isAbort(error)) throw error;
    print('Stopped before the end.');
    return 1;
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Starts Redis, Kafka, Temporal and PostgreSQL for all mutants. `use` gets the environment with which the tests find them. */
async function onOwnServers<T>(
  dataDir: string,
  signal: AbortSignal,
  use: (env: NodeJS.ProcessEnv) => Promise<T>,
): Promise<T> {
  // Tests fill and empty what they find, so never the servers that the environment names.
  const env = { ...process.env };
  for (const name of ADDRESS_VARIABLES) Reflect.deleteProperty(env, name);
  const settings = { ...loadStackSettings(env, ROOT), dataDir, ports: await freePorts() };
  print('Starting the components, once for all mutants:');
  const stack = await startStack({ settings, engine: false, fresh: true, report: print, signal });
  try {
    return await use({
      ...env,
      TEST_COMPONENTS: 'given',
      REDIS_ADDR: stack.redisAddr,
      KAFKA_ADDR: stack.kafkaAddr,
      TEMPORAL_ADDRESS: stack.temporalAddress,
      TEMPORAL_UI_URL: stack.temporalUiUrl ?? '',
      DATABASE_URL: stack.databaseUrl,
      TEST_DATA_DIR: dataDir,
    });
  } finally {
    await stack.stop();
  }
}

/** Reads the command line. Returns an exit code when there is nothing to run: after --help, or a wrong option. */
function parseOnly(args: readonly string[]): readonly string[] | number {
  const program = new Command('npm run mutants --')
    .description('Breaks one rule at a time in a copy of the checkout and shows which tests fail.')
    .option('--only <name...>', 'only these mutants');
  const exitCode = parseWords(program, args);
  if (exitCode !== undefined) return exitCode;
  return program.opts<{ only?: string[] }>().only ?? [];
}

/** All mutants when no name is given. */
function chooseMutants(names: readonly string[]): readonly Mutant[] {
  const mutants = readMutants(join(ROOT, 'proof', 'mutants', 'patches'));
  const unknown = names.filter((name) => !mutants.some((mutant) => mutant.name === name));
  if (unknown.length > 0) {
    const known = mutants.map(({ name }) => `  ${name}`).join('\n');
    throw new UserError(`There is no mutant ${unknown.join(', ')}, only:\n${known}`);
  }
  return names.length === 0 ? mutants : mutants.filter(({ name }) => names.includes(name));
}

/** A table in Markdown, as docs/mutants.md has it. */
function resultTable(results: readonly MutantResult[]): string {
  const rows = results.map(({ mutant, verdict, tookMs }) => {
    const tests = mutant.fails.map(({ file, title }) => `\`${file}\` "${title}"`).join('<br>');
    const result = verdict === 'caught' ? tests : `**${verdict}**`;
    return `| ${mutant.name} | ${mutant.rule} | ${result} | ${seconds(tookMs)} |`;
  });
  return ['| mutant | rule | caught by | took |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

runHarness(main);
