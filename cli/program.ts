import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { AMOUNT_MAX, FAILURE_REASONS, type FailureReason } from '../domain/order';
import { plainLines, type ExitCode, type Terminal } from './output/terminal';
import { describeFault, PlainFault } from './plain-fault';

/** What a command is called with, beside its own options. */
export interface CommonOptions {
  readonly url?: string;
  readonly json?: boolean;
}

/** The commands as functions: what the words on the command line end in. */
export interface Commands {
  readonly doctor: (options: CommonOptions) => Promise<ExitCode>;
  readonly buy: (
    options: CommonOptions & {
      readonly item: string;
      readonly user: string;
      readonly amount: number;
      readonly requestId?: string;
      readonly wait?: boolean;
    },
  ) => Promise<ExitCode>;
  readonly order: (options: CommonOptions & { readonly requestId: string }) => Promise<ExitCode>;
  readonly stockShow: (options: CommonOptions & { readonly item: string }) => Promise<ExitCode>;
  readonly dlqLs: (
    options: CommonOptions & { readonly max: number; readonly reason?: FailureReason },
  ) => Promise<ExitCode>;
  readonly scenarios: (options: CommonOptions) => Promise<ExitCode>;
}

/**
 * Reads the words of a command line and runs the command they name. Never throws: a fault is a sentence on standard
 * error and exit code 2.
 */
export async function runCommandLine(
  words: readonly string[],
  commands: Commands,
  terminal: Terminal,
): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const end = (code: ExitCode) => {
    exitCode = code;
  };
  try {
    await describeProgram(commands, terminal, end).parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    // The library has said already what is wrong; code 0 is a --help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const isPlain = error instanceof PlainFault;
    const text = isPlain ? error.message : `Unexpected fault: ${describeFault(error)}`;
    terminal.err(`${plainLines(text)}\n`);
    if (!isPlain && error instanceof Error) terminal.err(`${plainLines(error.stack ?? '')}\n`);
    return 2;
  }
}

function describeProgram(
  commands: Commands,
  terminal: Terminal,
  end: (code: ExitCode) => void,
): Command {
  const program = new Command('flash-sale')
    .description('Look at a running flash sale, buy from it, and check what it promises.')
    .exitOverride()
    .configureOutput({
      writeOut: terminal.out,
      // Its messages quote what was typed.
      writeErr: (text) => {
        terminal.err(plainLines(text));
      },
      getOutHasColors: () => terminal.colour,
      getErrHasColors: () => terminal.colour,
    })
    .showHelpAfterError('(--help shows the commands, options and an example)');

  add(program, 'doctor', 'What is there, what is missing, and what to do about it', [
    'flash-sale doctor',
  ]).action(async (options: CommonOptions) => {
    end(await commands.doctor(options));
  });

  add(program, 'buy', 'Buy units of an item through the gateway', [
    'flash-sale buy --item 101 --user u1 --amount 1 --wait',
  ])
    .requiredOption('--item <id>', 'the item')
    .requiredOption('--user <id>', 'the buyer')
    .option('--amount <units>', 'how many units', wholeNumber(1, AMOUNT_MAX), 1)
    .option('--request-id <id>', 'the name of this purchase (default: a fresh one)')
    .option('--wait', 'follow the order to its final outcome; exit 0 only if it is confirmed')
    .action(async (options: Parameters<Commands['buy']>[0]) => {
      end(await commands.buy(options));
    });

  add(program, 'order <request_id>', 'An order: its status, timeline and payment', [
    'flash-sale order req-123',
  ]).action(async (requestId: string, options: CommonOptions) => {
    end(await commands.order({ ...options, requestId }));
  });

  const stock = program.command('stock').description('The stock of items');
  add(stock, 'show <item>', "An item's units by state, its price and its sale", [
    'flash-sale stock show 101',
  ]).action(async (item: string, options: CommonOptions) => {
    end(await commands.stockShow({ ...options, item }));
  });

  const dlq = program.command('dlq').description('The dead letters: orders that failed');
  add(dlq, 'ls', 'Dead letters, newest last', ['flash-sale dlq ls --reason payment-declined'])
    .option('--max <number>', 'show at most this many', wholeNumber(1, 10_000), 50)
    .addOption(new Option('--reason <reason>', 'only this reason').choices(FAILURE_REASONS))
    .action(async (options: Parameters<Commands['dlqLs']>[0]) => {
      end(await commands.dlqLs(options));
    });

  add(program, 'scenarios', 'Try what the engine promises, on fresh items of the running stack', [
    'flash-sale scenarios',
  ]).action(async (options: CommonOptions) => {
    end(await commands.scenarios(options));
  });
  return program;
}

function add(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly string[],
): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--url <url>', 'the gateway (default: FLASH_SALE_URL, else the local stack)')
    .option('--json', 'print one JSON document and nothing else')
    .addHelpText('after', `\nExample:\n  $ npx ${examples.join('\n  $ npx ')}\n`);
}

function wholeNumber(min: number, max: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
