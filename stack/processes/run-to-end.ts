import { describeExit, spawnGuarded, type Program } from './guarded-process';
import { lastWords, logSize } from './last-words';

/** An installer or formatter that is asked to end does so at once, or it has nothing worth waiting for. */
const STOP_MS_MAX = 3_000;

/**
 * Runs a program that ends by itself. Throws, with its last words, when it does not end with exit code 0, and the
 * signal's reason, after ending it, when the signal is aborted.
 */
export async function runToEnd(root: string, program: Program, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const logFrom = logSize(program.logFile);
  const running = spawnGuarded(root, program);
  const stop = () => {
    void running.stop(STOP_MS_MAX);
  };
  signal.addEventListener('abort', stop, { once: true });
  const exit = await running.exited;
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (exit.code !== 0) {
    throw new Error(
      `${program.command} failed with ${describeExit(exit)}${lastWords(program.logFile, logFrom)}`,
    );
  }
}
