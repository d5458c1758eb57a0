import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseWords, runHarness, stopSignal } from '../../stack/harness-command';
import { seconds } from '../../stack/report';
import { isAbort } from '../../platform/until';
import { withEnvironment, type BenchOptions, type Suite } from './environment';
import { resultText, type SuiteResult } from './report';
import { crowd } from './suites/crowd';
import { door } from './suites/door';
import { drain } from './suites/drain';
import { fairness } from './suites/fairness';
import { hostile } from './suites/hostile';
import { overload } from './suites/overload';
import { duplicate, invalid, soldOut } from './suites/rejections';
import { scale } from './suites/scale';
import { rebuild } from './suites/rebuild';
import { years } from './suites/years';

/** Compiled, this file lies in dist/proof/bench. */
const ROOT = join(__dirname, '..', '..', '..');

/** The exit code by which a shell tells that Ctrl-C ended a program. */
const INTERRUPTED = 130;

/** Every suite by the name that --suite takes, in the order in which they run. */
const SUITES = {
  door,
  'sold-out': soldOut,
  duplicate,
  invalid,
  drain,
  fairness,
  crowd,
  overload,
  scale,
  hostile,
  rebuild,
  years,
} as const satisfies Readonly<Record<string, Suite>>;

type SuiteName = keyof typeof SUITES;

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if ('exitCode' in options) return options.exitCode;
  const print = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  const signal = stopSignal(print);

  const results: Partial<Record<SuiteName, SuiteResult>> = {};
  const run = { ...options, root: ROOT, env: process.env, log: print, signal };
  try {
    await withEnvironment(run, async (bench) => {
      for (const name of options.suite) {
        const startedAt = Date.now();
        print(`\n${name}: ${SUITES[name].about}`);
        const result = await SUITES[name].run(bench);
        results[name] = result;
        print(`\n${resultText(name, result)}${name} took ${seconds(Date.now() - startedAt)}`);
      }
    });
  } catch (error) {
    if (!isAbort(error)) throw error;
    return INTERRUPTED;
  }
  if (options.json !== undefined) {
    const report = { machine: machine(), quick: options.quick, results };
    writeFileSync(options.json, JSON.stringify(report, null, 2));
  }
  return Object.values(results).some(({ violations }) => violations.length > 0) ? 1 : 0;
}

/** Reads the command line. Returns an exit code when there is nothing to run: after --help, or a wrong option. */
function parseOptions(args: readonly string[]) {
  const about = Object.entries(SUITES).map(
    ([name, suite]) => `  ${name.padEnd(10)} ${suite.about}`,
  );
  const program = new Command('npm run bench --')
    .description(
      'Measures the engine on this machine, with Redis, Kafka, Temporal and PostgreSQL of its own.',
    )
    .option(
      '--suite <names>',
      'which suites, comma-separated (default: all but hostile, rebuild and years)',
      parseSuites,
    )
    .option('--quick', 'short rounds: to see that it works, not to believe the figures', false)
    .option('--json <file>', 'write the result to a file as JSON')
    .option(
      '--against <folder>',
      'another built checkout, to compare with in the suites door and drain',
      (folder) => resolve(folder),
    )
    .addOption(
      new Option(
        '--temporal <server>',
        'another Temporal server, to compare with in the suite drain: one with PostgreSQL, built with go',
      ).choices(['postgres']),
    )
    .addOption(
      new Option(
        '--buyer-auth <how>',
        'also a gateway whose buyers have tokens (ES256), in the suite door',
      ).choices(['jwt']),
    )
    .option('--connections <counts>', 'of the door suite (default: 16,64,256)', parseCounts)
    .option(
      '--orders <sizes>',
      'sizes of drain (default: 500,2000,10000), fairness (10000), rebuild and years (1000000)',
      parseCounts,
    )
    .option(
      '--profile <folder>',
      'write CPU profiles of the engine there; not with --against an older checkout',
      (folder) => resolve(folder),
    )
    .addHelpText('after', `\nSuites:\n${about.join('\n')}\n`);
  const exitCode = parseWords(program, args);
  if (exitCode !== undefined) return { exitCode };
  const { suite = usualSuites(), ...options } = program.opts<
    Pick<
      BenchOptions,
      'quick' | 'against' | 'temporal' | 'buyerAuth' | 'connections' | 'orders' | 'profile'
    > & {
      suite?: SuiteName[];
      json?: string;
    }
  >();
  return { ...options, suite };
}

function usualSuites(): SuiteName[] {
  const names = Object.keys(SUITES) as SuiteName[];
  return names.filter((name) => !('onlyByName' in SUITES[name]));
}

function parseSuites(list: string): SuiteName[] {
  return list.split(',').map((name) => {
    if (Object.hasOwn(SUITES, name)) return name as SuiteName;
    throw new InvalidArgumentError(`There are ${Object.keys(SUITES).join(', ')}.`);
  });
}

function parseCounts(list: string): number[] {
  const counts = list.split(',').map(Number);
  if (counts.every((count) => Number.isInteger(count) && count >= 1 && count <= 10_000_000)) {
    return counts;
  }
  throw new InvalidArgumentError('Whole numbers from 1 to 10000000, comma-separated.');
}

/** Figures mean nothing without the machine and the day. */
function machine() {
  return {
    date: new Date().toISOString(),
    cpus: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
  };
}

runHarness(main);
