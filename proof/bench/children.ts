import { fork } from 'node:child_process';
import { join } from 'node:path';
import { NODE_OPTIONS } from '../../stack/engine';
import type { ClosedLoopPlan, ClosedLoopResult } from './load/closed-loop';
import type { CrowdPlan, CrowdResult } from './load/crowd';
import type { HostilePlan, HostileResult } from './load/hostile';
import type { OpenLoopPlan, OpenLoopResult } from './load/open-loop';

export type LoadMessage =
  | { readonly kind: 'closed-loop'; readonly plan: ClosedLoopPlan }
  | { readonly kind: 'open-loop'; readonly plan: OpenLoopPlan }
  | { readonly kind: 'crowd'; readonly plan: CrowdPlan }
  | { readonly kind: 'hostile'; readonly plan: HostilePlan };

export type LoadGenerator = ReturnType<typeof startGenerator>;

/** Starts the load generator: a process of its own, so that its work does not count as the bench's or the gateway's. */
export function startGenerator() {
  const child = startChild(join(__dirname, 'load', 'main.js'), []);
  const run = async <Result>(message: LoadMessage) => (await child.ask(message)) as Result;
  return {
    closedLoop: (plan: ClosedLoopPlan) => run<ClosedLoopResult>({ kind: 'closed-loop', plan }),
    openLoop: (plan: OpenLoopPlan) => run<OpenLoopResult>({ kind: 'open-loop', plan }),
    crowd: (plan: CrowdPlan) => run<CrowdResult>({ kind: 'crowd', plan }),
    hostile: (plan: HostilePlan) => run<HostileResult>({ kind: 'hostile', plan }),
    stop: child.stop,
  };
}

/** One of the baselines that the engine is compared with, see baselines/main.ts. */
export function startBaseline(name: string, args: readonly string[]) {
  return startChild(join(__dirname, 'baselines', 'main.js'), [name, ...args]);
}

/**
 * Starts a compiled file that answers one message at a time. It has to end when its channel is closed, and so ends with
 * this process.
 */
function startChild(file: string, args: readonly string[]) {
  // As the engine: workflows that do nothing would pay for call stacks, too.
  const execArgv = [...NODE_OPTIONS];
  const child = fork(file, args, { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const { pid } = child;
  if (pid === undefined) throw new Error(`Cannot create a process for ${file}`);
  return {
    pid,
    /** Sends a message and resolves to the reply. Rejects when the process has ended. */
    ask: (message: object): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const ended = () => {
          reject(new Error(`${file} has ended`));
        };
        if (child.exitCode !== null) ended();
        child.once('exit', ended);
        child.once('message', (reply) => {
          child.off('exit', ended);
          resolve(reply);
        });
        child.send(message);
      }),
    stop: (): Promise<void> => {
      if (child.connected) child.disconnect();
      return Promise.resolve();
    },
  };
}
