import { CommanderError, type Command } from 'commander';
import { describeError, UserError } from '../platform/user-error';

/*
  What the commands of proof/ share: each starts servers of its own and must end with them.
*/

/** Parses the words into `program`. Returns an exit code when there is nothing to run: after --help, or a wrong option. */
export function parseWords(program: Command, words: readonly string[]): number | undefined {
  try {
    program.exitOverride().parse([...words], { from: 'user' });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
}

/** Aborted by the first signal that ends a command. Disconnect: npm's process holds the other end and has ended. */
export function stopSignal(print: (line: string) => void): AbortSignal {
  const stopping = new AbortController();
  const stop = () => {
    if (!stopping.signal.aborted) print('\nStopping ...');
    stopping.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect'] as const) process.on(name, stop);
  return stopping.signal;
}

/** Runs `main` with the words of the command line and exits with its code; 1 after an error, which it prints. */
export function runHarness(main: (words: readonly string[]) => Promise<number>): void {
  main(process.argv.slice(2)).then(
    (code) => process.exit(code),
    (error: unknown) => {
      const text = error instanceof UserError ? error.message : describeError(error);
      process.stderr.write(`\n${text}\n`);
      process.exit(1);
    },
  );
}
