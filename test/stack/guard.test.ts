import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode } from '../../platform/user-error';
import { identify, type Program, spawnGuarded } from '../../stack/guarded-process';
import { eventually } from '../support/eventually';

const ROOT = join(__dirname, '..', '..');
const STUBBORN = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)";

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'guard-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

function program(command: string, ...args: string[]): Program {
  return { command, args, env: process.env, cwd: dir, logFile: join(dir, 'program.log') };
}

/** A process that holds the pipe of a guarded program, as the stack does, and tells the program's number. */
function startHolder(...command: string[]): ChildProcess {
  const args = JSON.stringify([join(ROOT, 'stack', 'guard.sh'), 'TERM', ...command]);
  const script = `
    const { spawn } = require('node:child_process');
    const child = spawn('/bin/sh', ${args}, {
      detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function firstNumber({ stdout }: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    stdout?.once('data', (chunk: Buffer) => {
      resolve(Number(chunk.toString()));
    });
  });
}

const isGone = (pid: number) => Promise.resolve(identify(pid) === undefined);

describe('a guarded program', () => {
  test('ends when its stack is killed', async () => {
    const holder = startHolder('sleep', '600');
    const pid = await firstNumber(holder);
    expect(await isGone(pid)).toBe(false);
    holder.kill('SIGKILL');
    await eventually('the program is gone', () => isGone(pid), 5_000);
  });

  test('is killed when it ignores the end of its stack', async () => {
    const holder = startHolder(process.execPath, '-e', STUBBORN);
    const pid = await firstNumber(holder);
    holder.kill('SIGKILL');
    await eventually('the program is gone', () => isGone(pid), 15_000);
  });

  test('gets SIGTERM first and keeps its own exit code', async () => {
    const running = spawnGuarded(
      ROOT,
      program(
        '/bin/sh',
        '-c',
        'trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done',
      ),
    );
    await untilLogged('up');
    expect(await running.stop(5_000)).toEqual({ code: 3, signal: null });
    expect(logged()).toContain('bye');
  });

  test('is killed when it does not end in time', async () => {
    const running = spawnGuarded(ROOT, program(process.execPath, '-e', STUBBORN));
    await untilLogged('up');
    expect(await running.stop(200)).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('leaves neither its children nor its watcher behind', async () => {
    const running = spawnGuarded(ROOT, program('/bin/sh', '-c', 'sleep 600 & echo up; exit 0'));
    await running.exited;
    await eventually('the group is empty', () => Promise.resolve(!groupExists(running.pid)), 5_000);
  });

  test('that does not exist ends with exit code 127', async () => {
    const running = spawnGuarded(ROOT, program('/no/such/program'));
    expect(await running.exited).toEqual({ code: 127, signal: null });
  });
});

function logged(): string {
  return readFileSync(join(dir, 'program.log'), 'utf8');
}

async function untilLogged(text: string): Promise<void> {
  await eventually(`the log says ${text}`, () => Promise.resolve(logged().includes(text)), 10_000);
}

function groupExists(group: number): boolean {
  try {
    return process.kill(-group, 0);
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
    throw error;
  }
}
