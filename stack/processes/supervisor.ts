import { setTimeout as sleep } from 'node:timers/promises';
import { invariant } from '../../engine/orders/invariant';
import type { Report } from '../ground/report';
import { describeExit, spawnGuarded, type GuardedProcess, type Program } from './guarded-process';
import { lastWords, logSize } from './last-words';
import { until } from '../../platform/until';
import { describeError } from '../../platform/user-error';

/** A process that is to run as long as the stack does. */
export interface SupervisedProgram extends Program {
  readonly name: string;
  /** One look at whether it can take work: resolves when it can, throws why not. Bounded in time. */
  readonly probe: () => Promise<unknown>;
  readonly readyMsMax: number;
  /** How often it may end before it was ever ready. More than 1 where a start can fail for a passing reason. */
  readonly startTriesMax: number;
  /** How long it may take to end by itself after SIGTERM. */
  readonly stopMsMax: number;
}

export interface Supervised {
  /** Resolves when it is ready for the first time; rejects, with its last words, when it never will be. */
  readonly ready: Promise<void>;
  /** Ends it for good. */
  readonly stop: () => Promise<void>;
}

/** First pause before a new start; doubled up to the maximum as long as it does not stay up for a minute. */
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 10_000;
const STEADY_MS = 60_000;

/** Starts a program, and starts it again whenever it ends, until it is stopped. */
export function supervise(
  root: string,
  program: SupervisedProgram,
  { report, onStart }: { report: Report; onStart: (pid: number) => void },
): Supervised {
  const stopping = new AbortController();
  let current: GuardedProcess | undefined;
  const { promise: ready, resolve: becomeReady, reject: failToStart } = deferred();

  const keepRunning = async () => {
    let wasReady = false;
    let pauseMs = PAUSE_MS;
    for (let tries = 1; ; tries++) {
      stopping.signal.throwIfAborted();
      const startedAt = Date.now();
      const logFrom = logSize(program.logFile);
      const running = spawnGuarded(root, program);
      current = running;
      onStart(running.pid);
      const verdict = await readyOrNot(program, running, stopping.signal);
      if (verdict === 'ready') {
        if (wasReady) report(`  ${program.name} is back`);
        wasReady = true;
        becomeReady();
      }
      const exit = await running.exited;
      if (stopping.signal.aborted) return;

      const end = verdict === 'ready' ? describeExit(exit) : (verdict ?? describeExit(exit));
      const words = lastWords(program.logFile, logFrom);
      if (!wasReady && tries >= program.startTriesMax) {
        throw new Error(`${program.name} did not start: ${end}${words}`);
      }
      if (Date.now() - startedAt > STEADY_MS) pauseMs = PAUSE_MS;
      report(`  ${program.name} ended: ${end}; it is started again${words}`);
      await sleep(pauseMs, undefined, { signal: stopping.signal });
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
    }
  };
  const over = keepRunning().catch((error: unknown) => {
    // After a stop this rejection has no reader: the stop itself interrupted a pause.
    failToStart(error);
  });
  // Whoever starts several at once may await another one first.
  void Promise.allSettled([ready]);
  return {
    ready,
    stop: async () => {
      stopping.abort();
      await current?.stop(program.stopMsMax);
      await over;
      failToStart(new Error(`${program.name} was stopped`));
    },
  };
}

/**
 * 'ready', or undefined when the process ends (or is stopped) before it is. A process that is not ready in time is
 * ended, and the answer says what was wrong: a fresh start is the only thing left to try.
 */
async function readyOrNot(
  program: SupervisedProgram,
  running: GuardedProcess,
  stopping: AbortSignal,
): Promise<string | undefined> {
  const ended = new AbortController();
  void running.exited.then(() => {
    ended.abort();
  });
  const signal = AbortSignal.any([ended.signal, stopping]);
  try {
    await until('not ready', program.probe, { withinMs: program.readyMsMax, signal });
    return 'ready';
  } catch (error) {
    if (signal.aborted) return undefined;
    await running.stop(program.stopMsMax);
    return describeError(error);
  }
}

function deferred() {
  let settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  invariant(settle !== undefined, 'a promise calls its executor at once');
  return { promise, ...settle };
}
