import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Env } from '../../platform/config';
import { logTail, spawnGuarded } from '../../stack/guarded-process';

/** What jest found out about some test files. */
export interface TestRun {
  readonly passed: number;
  /** The tests that failed, in the order of their files. */
  readonly failed: readonly FailedTest[];
  /** Files that could not be run at all, with what jest says of them. */
  readonly unrunnable: readonly string[];
}

export interface FailedTest {
  /** From the root of the checkout. */
  readonly file: string;
  readonly title: string;
}

export interface TestRunOptions {
  readonly tests: readonly string[];
  /** A part of the titles to run; all without it. */
  readonly only?: string | undefined;
  /** With the addresses of the components: the run starts none of its own. */
  readonly env: Env;
  readonly signal: AbortSignal;
  readonly msMax: number;
}

/** Jest is asked to end, and then ended. */
const STOP_MS_MAX = 2_000;

/** Runs test files of a checkout. Throws when jest gives no result, or none within `msMax`. */
export async function runTests(root: string, options: TestRunOptions): Promise<TestRun> {
  const { tests, only, env, signal, msMax } = options;
  signal.throwIfAborted();
  const resultFile = join(root, 'var', 'jest-result.json');
  const logFile = join(root, 'var', 'jest.log');
  rmSync(resultFile, { force: true });
  rmSync(logFile, { force: true });
  const jest = join('node_modules', 'jest', 'bin', 'jest.js');
  // A mutant may leave a connection or a worker open; what is asked is over with the last test.
  const result = ['--json', `--outputFile=${resultFile}`, '--forceExit'];
  const which = [
    ...(only === undefined ? [] : ['-t', literally(only)]),
    '--runTestsByPath',
    ...tests,
  ];
  const program = { command: process.execPath, args: [jest, ...result, ...which], cwd: root };
  const running = spawnGuarded(root, { ...program, env, logFile });

  const bound = AbortSignal.any([signal, AbortSignal.timeout(msMax)]);
  const stop = () => {
    void running.stop(STOP_MS_MAX);
  };
  bound.addEventListener('abort', stop, { once: true });
  await running.exited;
  bound.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (!existsSync(resultFile)) {
    const why = bound.aborted ? `not over after ${String(msMax / 1000)} s` : 'without a result';
    throw new Error(`The tests ended ${why}: ${tests.join(', ')}${logTail(logFile, 0)}`);
  }
  return read(root, JSON.parse(readFileSync(resultFile, 'utf8')) as JestResult);
}

/** The part of jest's result that is read here. */
interface JestResult {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly title: string;
    }[];
  }[];
}

function read(root: string, { numPassedTests, testResults }: JestResult): TestRun {
  const failed = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ title }) => ({ file: relative(root, name), title })),
  );
  const unrunnable = testResults
    .filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
    .map(({ name, message }) => `${relative(root, name)}: ${message}`);
  return { passed: numPassedTests, failed, unrunnable };
}

/** The title is a text; jest wants a regular expression. */
function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
