import { Command, CommanderError } from 'commander';
import { OperatorError } from '../../engine/dead-letters/operator';
import { AMOUNT_MAX } from '../../engine/orders/order';
import { addDlqCommands, type DlqCommands } from './dlq-program';
import { inPlainWords } from '../operator-words';
import { plainLines, type ExitCode, type Terminal } from '../output/terminal';
import { addStockCommands, type StockCommands } from './stock-program';
import { add, wholeNumber, type CommonOptions } from '../usage';
import { UserError, describeError } from '../../platform/user-error';

/** The commands as functions: what the words on the command line end in. */
export interface Commands extends DlqCommands, StockCommands {
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
  readonly cancel: (
    options: CommonOptions & { readonly requestId: string; readonly user: string },
  ) => Promise<ExitCode>;
  readonly scenarios: (options: CommonOptions) => Promise<ExitCode>;
}

/**
 * Reads the words of a command line and runs the command they name. Never throws: a fault is a sentence on standard
 * error and exit code 2, or 1 for a plain no.
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
  } catch (thrown) {
    const error = thrown instanceof OperatorError ? inPlainWords(thrown) : thrown;
    // The library has said already what is wrong; code 0 is a --help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const isPlain = error instanceof UserError;
    const text = isPlain ? error.message : `Unexpected fault: ${describeError(error)}`;
    terminal.err(`${plainLines(text)}\n`);
    if (!isPlain && error instanceof Error) terminal.err(`${plainLines(error.stack ?? '')}\n`);
    return isPlain ? error.exitCode : 2;
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

  add(program, 'cancel <request_id>', 'Cancel an order, which its buyer can until it is paid', [
    'flash-sale cancel req-123 --user u1',
  ])
    .requiredOption('--user <id>', 'the buyer of the order')
    .action(async (requestId: string, options: CommonOptions & { user: string }) => {
      end(await commands.cancel({ ...options, requestId }));
    });

  addStockCommands(program, commands, end);
  addDlqCommands(program, commands, end);

  add(program, 'scenarios', 'Try what the engine promises, on fresh items of the running stack', [
    'flash-sale scenarios',
  ]).action(async (options: CommonOptions) => {
    end(await commands.scenarios(options));
  });
  return program;
}
