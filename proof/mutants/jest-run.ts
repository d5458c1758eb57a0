import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Env } from '../../platform/config';
import { logTail, spawnGuarded } from '../../stack/guarded-process';
import type { TestRun } from './mutants';

/** Between the signal to end and the one that ends jest in any case. */
const STOP_MS_MAX = 2_000;

/**
 * Runs test files in a checkout, or only the tests with the titles in `only`. Throws when a file cannot be run, and when
 * jest has no result within `msMax`.
 */
export async function runTests(
  checkout: string,
  files: readonly string[],
  options: { only?: readonly string[] | undefined; env: Env; signal: AbortSignal; msMax: number },
): Promise<TestRun> {
  const { only, env, signal, msMax } = options;
  signal.throwIfAborted();
  const resultFile = join(checkout, 'var', 'jest-result.json');
  const logFile = join(checkout, 'var', 'jest.log');
  rmSync(resultFile, { force: true });
  rmSync(logFile, { force: true });
  const args = [
    join('node_modules', 'jest', 'bin', 'jest.js'),
    '--json',
    `--outputFile=${resultFile}`,
    // A mutant may leave a connection or a worker open.
    '--forceExit',
    ...(only === undefined ? [] : ['-t', `(${only.map(escapeRegExp).join('|')})$`]),
    '--runTestsByPath',
    ...files,
  ];
  const program = { command: process.execPath, args, cwd: checkout, env, logFile };
  const running = spawnGuarded(checkout, program);

  const bound = AbortSignal.any([signal, AbortSignal.timeout(msMax)]);
  const stop = () => {
    void running.stop(STOP_MS_MAX);
  };
  bound.addEventListener('abort', stop, { once: true });
  await running.exited;
  bound.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (!existsSync(resultFile)) {
    const why = bound.aborted ? `not over after ${msMax / 1000} s` : 'without a result';
    throw new Error(`The tests ended ${why}: ${files.join(', ')}${logTail(logFile, 0)}`);
  }
  return readResult(checkout, JSON.parse(readFileSync(resultFile, 'utf8')) as JestResult);
}

/** The part of jest's result that is read here. */
interface JestResult {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly status: string; readonly title: string }[];
  }[];
}

function readResult(checkout: string, { testResults }: JestResult): TestRun {
  const broken = testResults.find(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  );
  if (broken) throw new Error(`${relative(checkout, broken.name)} does not run: ${broken.message}`);
  const withStatus = (wanted: string) =>
    testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === wanted)
        .map(({ title }) => ({ file: relative(checkout, name), title })),
    );
  return { passed: withStatus('passed'), failed: withStatus('failed') };
}

export function escapeRegExp(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
