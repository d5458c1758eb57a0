import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { SUITES, type SuiteName } from './suites';

export interface BenchOptions {
  readonly suites: readonly SuiteName[];
  readonly quick: boolean;
  /** File for the result as JSON. */
  readonly json?: string;
  /** Another built checkout to compare with in the door and the drain suite. */
  readonly against?: string;
  /** How many connections the door suite opens, one number after the other. */
  readonly connections?: readonly number[];
  /** How many orders the drain suite accepts, one after the other. */
  readonly orders?: readonly number[];
  /** Folder for CPU profiles of the engine's processes. */
  readonly profile?: string;
}

/** Reads the command line. Answers an exit code when there is nothing to run: after --help, or a wrong option. */
export function parseOptions(
  words: readonly string[],
): BenchOptions | { readonly exitCode: number } {
  const about = Object.entries(SUITES).map(
    ([name, suite]) => `  ${name.padEnd(10)} ${suite.about}`,
  );
  const program = new Command('npm run bench --')
    .description('Measures the engine on this machine, with Redis, Kafka and Temporal of its own.')
    .option('--suite <names>', 'which suites, comma-separated (default: all)', suiteNames)
    .option('--quick', 'short rounds: to see that it works, not to believe the figures', false)
    .option('--json <file>', 'write the result to a file as JSON')
    .option(
      '--against <folder>',
      'another built checkout, to compare with in the suites door and drain',
    )
    .option('--connections <counts>', 'of the door suite (default: 16,64,256)', counts)
    .option('--orders <sizes>', 'sizes of the drain suite (default: 500,2000,10000)', counts)
    .option('--profile <folder>', 'write CPU profiles of the engine there')
    .addHelpText('after', `\nSuites:\n${about.join('\n')}\n`)
    .exitOverride();
  try {
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return { exitCode: error.exitCode };
    throw error;
  }
  const { suite, ...options } = program.opts<
    Omit<BenchOptions, 'suites'> & { suite?: SuiteName[] }
  >();
  return { ...options, suites: suite ?? (Object.keys(SUITES) as SuiteName[]) };
}

function suiteNames(list: string): SuiteName[] {
  return list.split(',').map((name) => {
    if (Object.hasOwn(SUITES, name)) return name as SuiteName;
    throw new InvalidArgumentError(`There are ${Object.keys(SUITES).join(', ')}.`);
  });
}

function counts(list: string): number[] {
  const numbers = list.split(',').map(Number);
  if (numbers.every((size) => Number.isInteger(size) && size >= 1 && size <= 100_000))
    return numbers;
  throw new InvalidArgumentError('Whole numbers from 1 to 100000, comma-separated.');
}
