import { spawnSync } from 'node:child_process';
import { errorCode } from '../../platform/user-error';

export type PostgresFaults = ReturnType<typeof createPostgresFaults>;

/** Faults of the PostgreSQL that all engines of a run share. `pid` is that of the process that was started. */
export function createPostgresFaults(pid: () => number | undefined) {
  const first = () => {
    const found = pid();
    if (found === undefined) throw new Error('This run has not started PostgreSQL itself.');
    return found;
  };
  let frozen: readonly number[] = [];
  let turn = Promise.resolve();
  return {
    /** Waits until no other case makes it fail. Resolves to what ends this one's turn. */
    take: async (): Promise<() => void> => {
      const before = turn;
      let release = () => {};
      turn = new Promise((resolve) => {
        release = resolve;
      });
      await before;
      return release;
    },
    kill: (): void => {
      signalIfThere(first(), 'SIGKILL');
    },
    freeze: (): void => {
      const server = first();
      process.kill(server, 'SIGSTOP');
      // Now there are no new ones.
      const children = childrenOf(server);
      for (const child of children) signalIfThere(child, 'SIGSTOP');
      frozen = [...children, server];
    },
    thaw: (): void => {
      for (const one of frozen) signalIfThere(one, 'SIGCONT');
      frozen = [];
    },
  };
}

/** PostgreSQL has a process for each connection. The guard of stack/ is a child as well, and stays on watch. */
function childrenOf(server: number): number[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' });
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command = ''] = /^ *(\d+) +(\d+) +(.*)$/.exec(line) ?? [];
    return Number(parent) === server && command.includes('postgres') ? [Number(pid)] : [];
  });
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}
