import { once } from 'node:events';
import { join } from 'node:path';
import { isAbort } from '../platform/until';
import { UserError, describeError } from '../platform/user-error';
import { seconds, summary } from './report';
import { loadStackSettings } from './settings';
import { startStack } from './stack';

/** The compiled file is in dist/stack. */
const ROOT = join(__dirname, '..', '..');

const OPTIONS = ['--fresh'];

/** Two signals within this time count as one, because one Ctrl-C arrives more than once. */
const SECOND_SIGNAL_MS = 1_500;

/** The exit codes by which a shell shows that a signal ended a program. */
const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

async function main(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => !OPTIONS.includes(arg));
  if (unknown !== undefined) {
    throw new UserError(`Unknown option ${unknown}: there is only --fresh.`);
  }
  const report = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  const stopping = new AbortController();
  let exitCode = 0;
  let stoppedAt = 0;
  const stopWith = (code: number) => () => {
    if (stopping.signal.aborted) {
      // A later signal means "now": the guards end what still runs.
      if (Date.now() - stoppedAt > SECOND_SIGNAL_MS) process.exit(code);
      return;
    }
    stoppedAt = Date.now();
    exitCode = code;
    report('\nStopping ...');
    stopping.abort();
  };
  for (const [name, code] of Object.entries(SIGNAL_CODES)) process.on(name, stopWith(code));
  // The process of npm start holds the other end of this channel: when it ends, however it does, so does the stack.
  process.once('disconnect', stopWith(0));
  // The terminal was closed.
  process.stdout.on('error', stopWith(1));

  // For all that it and its processes write.
  process.umask(0o077);
  const startedAt = Date.now();
  try {
    const settings = loadStackSettings(process.env, ROOT);
    const stack = await startStack({
      settings,
      engine: true,
      fresh: args.includes('--fresh'),
      report,
      signal: stopping.signal,
    });
    report(`  ${'ready'.padEnd(18)} ${seconds(Date.now() - startedAt).padStart(7)}`);
    report(summary(settings, stack));
    if (!stopping.signal.aborted) await once(stopping.signal, 'abort');
    await stack.stop();
    // To be stopped is the normal end of a stack that runs.
    exitCode = 0;
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
  report('Stopped.');
  return exitCode;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`\n${describeError(error)}\n`);
    process.exit(1);
  },
);
