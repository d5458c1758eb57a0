import type { Env } from '../platform/config';
import { engineProgram, type EngineName } from './engine';
import {
  describeExit,
  spawnGuarded,
  type Exit,
  type GuardedProcess,
} from './processes/guarded-process';
import { lastWords, logSize } from './processes/last-words';
import { until } from '../platform/until';

/** One process of the engine in the hands of somebody who kills, freezes and restarts it: a test or the chaos harness. */
export interface EngineProcess {
  readonly url: string;
  readonly logFile: string;
  /** Of the process that runs now. */
  readonly pid: () => number;
  /** Sends a signal and, for SIGKILL, waits for the end. */
  readonly kill: (signal: NodeJS.Signals) => Promise<void>;
  /** Resolves when the process that runs now is gone. */
  readonly ended: () => Promise<Exit>;
  /** Ends it in order if it still runs, starts it on the same port with `env` added, waits until it is ready. */
  readonly restart: (env?: Env) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export interface EngineProcessOptions {
  readonly port: number;
  readonly env: Env;
  readonly logFile: string;
  /** Beside those that this process always gets, such as for a profile. */
  readonly nodeOptions?: readonly string[];
  /** Aborting it ends the waiting for readiness. */
  readonly signal?: AbortSignal;
}

/** Starts one built process and waits until it is ready. Throws, and leaves nothing behind, when it never is. */
export async function startEngineProcess(
  root: string,
  name: EngineName,
  { signal = new AbortController().signal, ...options }: EngineProcessOptions,
): Promise<EngineProcess> {
  const program = engineProgram(root, name, options);
  const startOnce = async (env: Env): Promise<GuardedProcess> => {
    const logFrom = logSize(program.logFile);
    const started = spawnGuarded(root, { ...program, env: { ...program.env, ...env } });
    const ended = new AbortController();
    void started.exited.then((exit) => {
      const words = lastWords(program.logFile, logFrom);
      ended.abort(new Error(`${name} ended at its start: ${describeExit(exit)}${words}`));
    });
    try {
      await until(`${name} is not ready`, program.probe, {
        withinMs: program.readyMsMax,
        signal: AbortSignal.any([signal, ended.signal]),
      });
      return started;
    } catch (error) {
      const fault: unknown = ended.signal.aborted ? ended.signal.reason : error;
      await started.stop(program.stopMsMax);
      throw fault;
    }
  };
  /** As the supervisor does: a start can fail for a passing reason, such as a coordinator that is still loading. */
  const start = async (env: Env): Promise<GuardedProcess> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await startOnce(env);
      } catch (error) {
        if (signal.aborted || tries >= program.startTriesMax) throw error;
      }
    }
  };
  let running = await start({});
  const stop = async () => {
    // A frozen process takes no other signal.
    running.signal('SIGCONT');
    await running.stop(program.stopMsMax);
  };
  return {
    url: program.url,
    logFile: program.logFile,
    pid: () => running.pid,
    kill: async (name) => {
      running.signal(name);
      if (name === 'SIGKILL') await running.exited;
    },
    ended: () => running.exited,
    restart: async (env = {}) => {
      await stop();
      running = await start(env);
    },
    stop,
  };
}
