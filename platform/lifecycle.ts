import closeWithGrace from 'close-with-grace';
import type { Logger } from './logger';
import { describeError, UserError } from './user-error';

/** Longer than the longest work in progress (a payment attempt of 10 s), shorter than the 30 s that Kubernetes waits. */
const SHUTDOWN_MS_MAX = 20_000;

export interface Lifecycle {
  /** Adds a step to the shutdown. Steps run newest first, one after the other. */
  readonly onShutdown: (name: string, close: () => unknown) => void;
  /** Shuts the process down with exit code 1, for an error from which only a restart recovers. */
  readonly fail: (error: Error) => void;
  /** Aborted when the shutdown begins: what is waited for then is given up. */
  readonly stopping: AbortSignal;
}

/** A terminal sends these to every process of its group at once, and a second signal ends a process without a shutdown. */
const TERMINAL_SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGHUP'] as const;

/**
 * Shuts the process down on SIGTERM, SIGINT, an uncaught error or `fail`. A step that fails is logged and the next one
 * runs. `leave-to-parent`: the process ignores a terminal's signals, because its parent handles them and sends SIGTERM.
 */
export function createLifecycle(
  logger: Logger,
  { terminal = 'obey' }: { readonly terminal?: 'obey' | 'leave-to-parent' } = {},
): Lifecycle {
  const skip = terminal === 'obey' ? [] : [...TERMINAL_SIGNALS];
  for (const signal of skip) process.on(signal, () => undefined);
  const steps: { name: string; close: () => unknown }[] = [];
  let failed = false;
  const stopping = new AbortController();
  const grace = closeWithGrace(
    {
      delay: SHUTDOWN_MS_MAX,
      skip,
      logger: {
        error: (message) => {
          logger.error(message);
        },
      },
    },
    async ({ signal, err }) => {
      if (err) logger.error({ err }, 'shutting down after an error');
      else logger.info({ signal }, 'shutting down');
      stopping.abort();
      for (const step of steps.reverse()) {
        try {
          await step.close();
        } catch (error) {
          logger.error({ err: error, step: step.name }, 'a shutdown step failed');
        }
      }
      // The library exits with 0 unless the shutdown itself failed, and supervisors look at the exit code.
      if (err || failed) process.exit(1);
    },
  );
  return {
    onShutdown: (name, close) => steps.push({ name, close }),
    fail: (error) => {
      if (failed) return;
      logger.fatal({ err: error }, 'cannot go on');
      // The operator's to mend, such as a refused password: its words are read where the logs are not.
      if (error instanceof UserError) process.stderr.write(`${error.message}\n`);
      failed = true;
      grace.close();
    },
    stopping: stopping.signal,
  };
}

/**
 * Runs a process's `main`. An error that keeps it from starting, such as a bad configuration, is printed without a stack
 * and ends the process with exit code 1.
 */
export function runProcess(name: string, main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    process.stderr.write(`${name}: ${describeError(error)}\n`);
    process.exit(1);
  });
}
