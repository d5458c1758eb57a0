import { join } from 'node:path';
import { isAbort } from '../platform/until';
import { seconds } from './ground/report';
import { loadStackSettings } from './ground/settings';
import { startStack } from './stack';
import { summary } from './summary';
import { UserError, describeError } from '../platform/user-error';

/** Compiled, this file lies in dist/stack. */
const ROOT = join(__dirname, '..', '..');

const OPTIONS = ['--fresh'];

/** Two signals closer together than this are one. */
const IMPATIENT_MS = 1_500;

/** The exit codes by which a shell tells that a signal ended a program. */
const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => !OPTIONS.includes(arg));
  if (unknown !== undefined)
    throw new UserError(`Unknown option ${unknown}: there is only --fresh.`);

  const report = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  const stopping = new AbortController();
  let exitCode = 0;
  let stoppedAt = 0;
  const stopWith = (code: number) => () => {
    if (stopping.signal.aborted) {
      // One Ctrl-C arrives more than once. A later one means "now": the guards end what we leave behind.
      if (Date.now() - stoppedAt > IMPATIENT_MS) process.exit(code);
      return;
    }
    stoppedAt = Date.now();
    exitCode = code;
    report('\nStopping ...');
    stopping.abort();
  };
  for (const [name, code] of Object.entries(SIGNAL_CODES)) process.on(name, stopWith(code));
  // npm start's own process holds the other end: whatever ends it ends us. A closed terminal does the same.
  process.once('disconnect', stopWith(0));
  process.stdout.on('error', stopWith(1));

  const startedAt = Date.now();
  try {
    const stack = await startStack({
      settings: loadStackSettings(process.env, ROOT),
      engine: true,
      fresh: args.includes('--fresh'),
      report,
      signal: stopping.signal,
    });
    report(`  ${'ready'.padEnd(18)} ${seconds(Date.now() - startedAt).padStart(7)}`);
    report(summary(loadStackSettings(process.env, ROOT), stack));
    await aborted(stopping.signal);
    await stack.stop();
    // Being stopped is how a stack is meant to end.
    exitCode = 0;
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
  report('Stopped.');
  return exitCode;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener('abort', () => {
        resolve();
      });
  });
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const text = error instanceof UserError ? error.message : describeError(error);
    process.stderr.write(`\n${text}\n`);
    process.exit(1);
  },
);
