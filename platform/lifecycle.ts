import closeWithGrace from 'close-with-grace';
import type { Logger } from './logger';
import { describeError } from './user-error';

/** Longer than the longest thing in hand (a payment attempt of 10 s), shorter than an orchestrator's patience (30 s). */
const SHUTDOWN_MS_MAX = 20_000;

export interface Lifecycle {
  /** Adds a step to the shutdown. Steps run newest first, each once, each awaited. */
  readonly onShutdown: (name: string, close: () => unknown) => void;
  /** Ends the process in order, with exit code 1: for a fault that only a fresh start can mend. */
  readonly fail: (error: Error) => void;
}

/** A terminal sends these to every process of a group at once; a second signal ends a process without order. */
const TERMINAL_SIGNALS = ['SIGINT', 'SIGQUIT', 'SIGHUP'] as const;

/**
 * Ends the process in order on SIGTERM, SIGINT, an uncaught error or `fail`. A step that fails is logged and
 * does not keep the others from running. `leave-to-parent`: a terminal's signals are for the parent, which sends SIGTERM.
 */
export function createLifecycle(
  logger: Logger,
  { terminal = 'obey' }: { readonly terminal?: 'obey' | 'leave-to-parent' } = {},
): Lifecycle {
  const skip = terminal === 'obey' ? [] : [...TERMINAL_SIGNALS];
  for (const signal of skip) process.on(signal, () => undefined);
  const steps: { name: string; close: () => unknown }[] = [];
  let failed = false;
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
      for (const step of steps.reverse()) {
        try {
          await step.close();
        } catch (error) {
          logger.error({ err: error, step: step.name }, 'a shutdown step failed');
        }
      }
      // The library's own exit code is 0 unless the shutdown itself failed, and a supervisor goes by the code.
      if (err || failed) process.exit(1);
    },
  );
  return {
    onShutdown: (name, close) => steps.push({ name, close }),
    fail: (error) => {
      logger.fatal({ err: error }, 'cannot go on');
      failed = true;
      grace.close();
    },
  };
}

/**
 * Runs a process's `main`. What keeps it from starting, such as a bad configuration, is told on standard error in
 * words and without a stack, and ends the process with exit code 1.
 */
export function runProcess(name: string, main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    process.stderr.write(`${name}: ${describeError(error)}\n`);
    process.exit(1);
  });
}
