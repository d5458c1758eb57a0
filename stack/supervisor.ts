import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../platform/until';
import { describeError } from '../platform/user-error';
import {
  describeExit,
  logSize,
  logTail,
  spawnGuarded,
  type GuardedProcess,
  type Program,
} from './guarded-process';

/** A program that runs until it is stopped. */
export interface SupervisedProgram extends Program {
  readonly name: string;
  /** Checks once whether the program can take work, and throws why not. Must be bounded in time. */
  readonly probe: () => Promise<unknown>;
  readonly readyMsMax: number;
  /**
   * Whether it waits for other programs by itself. Once it was ready, it is then given any time: another start would meet
   * the same absence.
   */
  readonly waitsForOthers?: boolean;
  /** How many starts may fail. More than 1 where a start can fail for a temporary reason. */
  readonly startTriesMax: number;
  /** Time to end after SIGTERM. */
  readonly stopMsMax: number;
}

/**
 * Starts a program and waits until it is ready. Throws, with the end of its log and after ending the process, when it
 * ends or is not ready in time; throws the signal's reason when that is aborted.
 */
export async function startOnce(
  root: string,
  program: SupervisedProgram,
  { signal, onStart }: { signal: AbortSignal; onStart?: (pid: number) => void },
): Promise<GuardedProcess> {
  signal.throwIfAborted();
  const logFrom = logSize(program.logFile);
  const running = spawnGuarded(root, program);
  onStart?.(running.pid);
  const ended = new AbortController();
  void running.exited.then((exit) => {
    ended.abort(new Error(describeExit(exit)));
  });
  try {
    await until('not ready', program.probe, {
      withinMs: program.readyMsMax,
      signal: AbortSignal.any([signal, ended.signal]),
    });
    return running;
  } catch (error) {
    const reason: unknown = ended.signal.aborted ? ended.signal.reason : error;
    await running.stop(program.stopMsMax);
    signal.throwIfAborted();
    const tail = logTail(program.logFile, logFrom);
    throw new Error(`${program.name} did not start: ${describeError(reason)}${tail}`);
  }
}

export type Supervised = ReturnType<typeof supervise>;

/** Pause before a new start. It doubles up to the maximum while the program does not stay up for a minute. */
const PAUSE_MS = 500;
const PAUSE_MS_MAX = 10_000;
const STEADY_MS = 60_000;

/** Starts a program, and starts it again when it ends, until it is stopped. */
export function supervise(
  root: string,
  program: SupervisedProgram,
  { report, onStart }: { report: (line: string) => void; onStart: (pid: number) => void },
) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const patient = program.waitsForOthers ? { ...program, readyMsMax: Infinity } : program;
  let current: GuardedProcess | undefined;
  let becomeReady: () => void = () => undefined;
  let failToStart: (error: unknown) => void = () => undefined;
  const ready = new Promise<void>((resolve, reject) => {
    becomeReady = resolve;
    failToStart = reject;
  });
  // `ready` may reject before its caller awaits it.
  void Promise.allSettled([ready]);

  const keepRunning = async () => {
    let wasReady = false;
    let pauseMs = PAUSE_MS;
    for (let tries = 1; ; tries++) {
      const startedAt = Date.now();
      const logFrom = logSize(program.logFile);
      let end: string;
      try {
        current = await startOnce(root, wasReady ? patient : program, { signal, onStart });
        // `stop` was called before this line and has not seen this process.
        if (signal.aborted) await current.stop(program.stopMsMax);
        signal.throwIfAborted();
        if (wasReady) report(`  ${program.name} is back`);
        wasReady = true;
        becomeReady();
        const exit = await current.exited;
        signal.throwIfAborted();
        const tail = logTail(program.logFile, logFrom);
        end = `${program.name} ended: ${describeExit(exit)}; it is started again${tail}`;
      } catch (error) {
        if (signal.aborted || (!wasReady && tries >= program.startTriesMax)) throw error;
        end = `${describeError(error)}\n    It is started again.`;
      }
      if (Date.now() - startedAt > STEADY_MS) pauseMs = PAUSE_MS;
      report(`  ${end}`);
      await sleep(pauseMs, undefined, { signal });
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
    }
  };
  // After `ready` has resolved, this rejection only says that the program was stopped.
  const over = keepRunning().catch(failToStart);
  return {
    /** Resolves when the program is ready for the first time; rejects when it will not be. */
    ready,
    /** Ends the program for good. */
    stop: async () => {
      stopping.abort();
      await current?.stop(program.stopMsMax);
      await over;
    },
  };
}
