import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { errorCode } from '../ground/error-code';
import type { Env } from '../../platform/config';

/** A program to run, and where its output goes. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Env;
  readonly cwd: string;
  /** Standard output and error are appended to this file; its folder is made. */
  readonly logFile: string;
}

/** How a process ended: exactly one of the two is not null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GuardedProcess {
  readonly pid: number;
  /** Settles when the process is gone; never rejects. */
  readonly exited: Promise<Exit>;
  /** Sends a signal to the process alone; false when it has ended already. */
  readonly signal: (signal: NodeJS.Signals) => boolean;
  /** SIGTERM, and SIGKILL to the whole group after `graceMs`. Resolves when the process is gone. */
  readonly stop: (graceMs: number) => Promise<Exit>;
}

/**
 * Starts a program in a process group of its own, so that Ctrl-C in the terminal reaches it only through us, and ties
 * its life to ours: when this process ends, even by SIGKILL, the group is ended by `guard.sh`. `root` is the checkout.
 * Throws when the process cannot be created; a program that does not exist ends with code 127 instead.
 */
export function spawnGuarded(root: string, program: Program): GuardedProcess {
  mkdirSync(dirname(program.logFile), { recursive: true });
  const log = openSync(program.logFile, 'a');
  const guard = join(root, 'stack', 'guard.sh');
  const child = spawn('/bin/sh', [guard, program.command, ...program.args], {
    cwd: program.cwd,
    env: program.env,
    detached: true,
    stdio: ['ignore', log, log, 'pipe'],
  });
  closeSync(log);
  const exited = new Promise<Exit>((resolve) => {
    child.once('error', () => {
      resolve({ code: 127, signal: null });
    });
    child.once('exit', (code, signal) => {
      resolve({ code, signal });
    });
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`Cannot create a process for ${program.command}`);

  const pipe = child.stdio[3];
  // The open pipe is the sign of life; it must not be a reason to stay alive.
  if (pipe instanceof Socket) pipe.unref();

  void exited.then(() => {
    // The watcher, and whatever the program left behind. Until here the watcher kept the group's number ours.
    killGroup(pid);
    pipe?.destroy();
  });
  return {
    pid,
    exited,
    signal: (name) => child.kill(name),
    stop: async (graceMs) => {
      child.kill('SIGTERM');
      const tooLate = setTimeout(() => {
        killGroup(pid);
      }, graceMs);
      const exit = await exited;
      clearTimeout(tooLate);
      return exit;
    },
  };
}

/** "exit code 1" or "signal SIGKILL", for people. */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: the group has ended by itself, which is what was wanted.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}
