import closeWithGrace from 'close-with-grace';
import type { Logger } from './logger';

/** Longer than the longest thing in hand (a payment attempt of 10 s), shorter than an orchestrator's patience (30 s). */
const SHUTDOWN_MS_MAX = 20_000;

export interface Lifecycle {
  /** Adds a step to the shutdown. Steps run newest first, each once, each awaited. */
  readonly onShutdown: (name: string, close: () => unknown) => void;
  /** Ends the process in order, with exit code 1: for a fault that only a fresh start can mend. */
  readonly fail: (error: Error) => void;
}

/**
 * Ends the process in order on SIGTERM, SIGINT, an uncaught error or `fail`. A step that fails is logged and
 * does not keep the others from running.
 */
export function createLifecycle(logger: Logger): Lifecycle {
  const steps: { name: string; close: () => unknown }[] = [];
  const grace = closeWithGrace(
    {
      delay: SHUTDOWN_MS_MAX,
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
      if (err) process.exitCode = 1;
    },
  );
  return {
    onShutdown: (name, close) => steps.push({ name, close }),
    fail: (error) => {
      logger.fatal({ err: error }, 'cannot go on');
      process.exitCode = 1;
      grace.close();
    },
  };
}
