import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claimDataDir, removeAbandoned } from '../../stack/data-dir';
import { UserError } from '../../platform/user-error';

const { signal } = new AbortController();
let parent = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'data-dir-'));
});
afterEach(() => {
  rmSync(parent, { recursive: true });
});

/** As a stack leaves it that was killed: nobody has this number together with this start time. */
function abandon(name: string): string {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  const stack = { pid: process.pid, startedAt: 'before the last reboot' };
  writeFileSync(join(path, 'stack.json'), JSON.stringify({ stack, children: [] }));
  return path;
}

describe('claiming a data folder', () => {
  test('is refused, in one sentence, while the stack that has it runs', async () => {
    const path = join(parent, 'var');
    await claimDataDir(path, { fresh: false, signal });
    const second = claimDataDir(path, { fresh: true, signal });
    await expect(second).rejects.toThrow(UserError);
    await expect(second).rejects.toThrow(`Another stack (process ${process.pid}) already runs`);
  });

  test('wipes nothing when it is refused', async () => {
    const path = join(parent, 'var');
    await claimDataDir(path, { fresh: false, signal });
    mkdirSync(join(path, 'redis'));
    await expect(claimDataDir(path, { fresh: true, signal })).rejects.toThrow();
    expect(existsSync(join(path, 'redis'))).toBe(true);
  });

  test('takes it from everybody else on the machine', async () => {
    const path = join(parent, 'var');
    mkdirSync(path, { mode: 0o755 });
    await claimDataDir(path, { fresh: false, signal });
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  test('works again after it was released', async () => {
    const path = join(parent, 'var');
    (await claimDataDir(path, { fresh: false, signal })).release();
    const { wasAbandoned } = await claimDataDir(path, { fresh: false, signal });
    expect(wasAbandoned).toBe(false);
  });

  test('takes over from a stack that was killed, also when its number is in use again', async () => {
    const { wasAbandoned } = await claimDataDir(abandon('var'), { fresh: false, signal });
    expect(wasAbandoned).toBe(true);
  });

  test('waits until the processes of a killed stack have ended', async () => {
    const path = join(parent, 'var');
    const orphan = spawn('sleep', ['0.5']);
    const ended = once(orphan, 'exit').then(() => 'ended');
    const before = await claimDataDir(path, { fresh: false, signal });
    before.remember(orphan.pid ?? 0);
    makeOwnerDead(path);
    await claimDataDir(path, { fresh: false, signal });
    // The system knows of the end a moment before its parent does.
    expect(await Promise.race([ended, setTimeout(200, 'still running')])).toBe('ended');
  });

  test('with fresh removes the data of the parts and keeps the logs', async () => {
    const path = join(parent, 'var');
    for (const part of ['redis', 'kafka', 'temporal', 'payments']) {
      mkdirSync(join(path, part), { recursive: true });
    }
    writeFileSync(join(path, 'api.log'), '');
    await claimDataDir(path, { fresh: true, signal });
    expect(
      ['redis', 'kafka', 'temporal', 'payments'].filter((p) => existsSync(join(path, p))),
    ).toEqual([]);
    expect(existsSync(join(path, 'api.log'))).toBe(true);
  });
});

describe('removing abandoned folders', () => {
  test('removes those of killed stacks and of failed starts long ago, and no others', async () => {
    const killed = abandon('test-1');
    const failedLongAgo = join(parent, 'test-2');
    mkdirSync(failedLongAgo);
    utimesSync(failedLongAgo, 0, 0);
    const beingMade = join(parent, 'test-3');
    mkdirSync(beingMade);
    const running = join(parent, 'test-4');
    await claimDataDir(running, { fresh: false, signal });
    const notOurs = abandon('var');

    removeAbandoned(parent, 'test-');

    expect([killed, failedLongAgo].filter(existsSync)).toEqual([]);
    expect([beingMade, running, notOurs].every(existsSync)).toBe(true);
  });
});

/** Rewrites the owner so that only the children are still those of a running process. */
function makeOwnerDead(path: string): void {
  const file = join(path, 'stack.json');
  const owner = jest.requireActual<{ children: unknown }>(file);
  const stack = { pid: process.pid, startedAt: 'before the last reboot' };
  writeFileSync(file, JSON.stringify({ stack, children: owner.children }));
}
