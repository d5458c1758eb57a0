import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { Env } from '../platform/config';
import { errorCode } from '../platform/user-error';

/** A program to run, and where its output goes. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Env;
  readonly cwd: string;
  /** Standard output and error are appended to this file. Its folder is created. */
  readonly logFile: string;
  /** Asks the program to end. SIGTERM where it is not given. */
  readonly stopSignal?: 'SIGTERM' | 'SIGINT';
}

/** How a process ended: exactly one of the two is not null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface GuardedProcess {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<Exit>;
  /** Sends a signal to the process alone; false when it has already ended. */
  readonly signal: (signal: NodeJS.Signals) => boolean;
  /** The program's signal to end, and SIGKILL to the whole group after `graceMs`. Resolves when the process has ended. */
  readonly stop: (graceMs: number) => Promise<Exit>;
}

/**
 * Starts a program in a process group of its own, so that a Ctrl-C in the terminal does not reach it directly. When this
 * process ends, even by SIGKILL, `guard.sh` ends the group. `root` is the checkout. Throws when the process cannot be
 * created; a program that does not exist ends with code 127 instead.
 */
export function spawnGuarded(root: string, program: Program): GuardedProcess {
  mkdirSync(dirname(program.logFile), { recursive: true });
  const log = openSync(program.logFile, 'a');
  const guard = join(root, 'stack', 'guard.sh');
  const { stopSignal = 'SIGTERM' } = program;
  const child = spawn('/bin/sh', [guard, stopSignal.slice(3), program.command, ...program.args], {
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
  // The guard watches this pipe. It must not keep this process running.
  if (pipe instanceof Socket) pipe.unref();

  void exited.then(() => {
    // Ends the guard and what the program left behind. The guard kept the group's number from being used again.
    killGroup(pid);
    pipe?.destroy();
  });
  return {
    pid,
    exited,
    signal: (name) => child.kill(name),
    stop: async (graceMs) => {
      child.kill(stopSignal);
      const timer = setTimeout(() => {
        killGroup(pid);
      }, graceMs);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: the group has already ended.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

/** An installer or formatter has nothing to finish when it is stopped. */
const RUN_STOP_MS_MAX = 3_000;

/**
 * Runs a program to its end. Throws, with the end of its log, when the exit code is not 0. When the signal is aborted,
 * ends the program and throws the signal's reason.
 */
export async function runToEnd(root: string, program: Program, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const logFrom = logSize(program.logFile);
  const running = spawnGuarded(root, program);
  const stop = () => {
    void running.stop(RUN_STOP_MS_MAX);
  };
  signal.addEventListener('abort', stop, { once: true });
  const exit = await running.exited;
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (exit.code !== 0) {
    throw new Error(
      `${program.command} failed with ${describeExit(exit)}${logTail(program.logFile, logFrom)}`,
    );
  }
}

/** "exit code 1" or "signal SIGKILL". */
export function describeExit({ code, signal }: Exit): string {
  return signal === null ? `exit code ${String(code)}` : `signal ${signal}`;
}

/** A stack trace fits into this many lines. */
const TAIL_LINES_MAX = 12;
const TAIL_BYTES_MAX = 64 * 1024;

/**
 * The end of a process's log, to append to an error message: the warnings and errors where the log is JSON lines, else
 * the last lines. `from` is the size of the log when the process started.
 */
export function logTail(file: string, from: number): string {
  const lines = readTail(file, from)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const entries = lines.map(parseLogEntry);
  const shown = entries.some((entry) => entry !== undefined)
    ? entries.flatMap((entry, at) => (entry ? describeProblem(entry) : (lines[at] ?? [])))
    : lines;
  const last = shown.slice(-TAIL_LINES_MAX).map((line) => `\n    ${line}`);
  return `${last.join('')}\n    (log: ${file})`;
}

function readTail(file: string, from: number): string {
  if (!existsSync(file)) return '';
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(from, size - TAIL_BYTES_MAX);
    const buffer = Buffer.alloc(Math.max(0, size - start));
    readSync(fd, buffer, 0, buffer.length, start);
    return buffer.toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** The fields of the engine's log lines that are read here. */
interface LogEntry {
  readonly level?: string;
  readonly msg?: string;
  readonly err?: { readonly message?: string } | string;
}

function parseLogEntry(line: string): LogEntry | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogEntry;
  } catch (error) {
    // The first line of the tail may be cut; such a line is shown as it is.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The text of a warning or error; nothing for other entries. */
function describeProblem({ level, msg, err }: LogEntry): string | [] {
  if (level === undefined || !['warn', 'error', 'fatal'].includes(level)) return [];
  const cause = typeof err === 'object' ? err.message : err;
  return [`${level}: ${msg ?? ''}`, ...(cause === undefined ? [] : [cause])].join(': ');
}

/** The size of a log in bytes; 0 when there is none. */
export function logSize(file: string): number {
  return existsSync(file) ? statSync(file).size : 0;
}

const LOG_BYTES_MAX = 10 * 1024 * 1024;

/** Bounds the size of a log over many starts: a large `name.log` becomes `name.log.1`. */
export function rotateLog(file: string): void {
  if (logSize(file) > LOG_BYTES_MAX) renameSync(file, `${file}.1`);
}

/** A process number is used again one day; together with the start time it is unique. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Ticks since boot on Linux, a date elsewhere. Only compared. */
  readonly startedAt: string;
}

/** The identity of the process with this number; undefined when there is none, or when it is a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startedAt = existsSync('/proc/self/stat') ? startFromProc(pid) : startFromPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

/** Whether exactly this process still runs. */
export function isAlive({ pid, startedAt }: ProcessIdentity): boolean {
  return identify(pid)?.startedAt === startedAt;
}

function startFromProc(pid: number): string | undefined {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return undefined;
  const stat = readFileSync(file, 'utf8');
  // The second field is the program's name in brackets and may hold anything, so fields are counted after it.
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // Z: a zombie, which has ended and whose exit code has not been read.
  return state === 'Z' ? undefined : rest[18];
}

function startFromPs(pid: number): string | undefined {
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : undefined;
}
