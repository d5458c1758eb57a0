import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identify } from '../../stack/guarded-process';
import { supervise, type Supervised, type SupervisedProgram } from '../../stack/supervisor';
import { eventually } from '../support/eventually';

const ROOT = join(__dirname, '..', '..');

let dir = '';
let supervised: Supervised | undefined;
const reports: string[] = [];
const pids: number[] = [];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'supervisor-'));
  reports.length = 0;
  pids.length = 0;
});
afterEach(async () => {
  await supervised?.stop();
  rmSync(dir, { recursive: true });
});

function run(script: string, options: Partial<SupervisedProgram> = {}): Supervised {
  supervised = supervise(
    ROOT,
    {
      name: 'part',
      command: '/bin/sh',
      args: ['-c', script],
      env: process.env,
      cwd: dir,
      logFile: join(dir, 'part.log'),
      probe: () => Promise.resolve(),
      readyMsMax: 5_000,
      startTriesMax: 1,
      stopMsMax: 2_000,
      ...options,
    },
    { report: (line) => reports.push(line), onStart: (pid) => pids.push(pid) },
  );
  return supervised;
}

const refuse = () => Promise.reject(new Error('connection refused'));

describe('a supervised program', () => {
  test('is restarted when it is killed, and the restart is reported', async () => {
    await run('exec sleep 600').ready;
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await eventually('it is back', () => Promise.resolve(reports.includes('  part is back')));
    expect(pids).toHaveLength(2);
    expect(reports[0]).toContain('part ended: signal SIGKILL; it is started again');
  });

  test('that waits for others is not ended for it after a restart', async () => {
    let isReady = true;
    let probes = 0;
    const probe = () => {
      probes += 1;
      return isReady ? Promise.resolve() : refuse();
    };
    await run('exec sleep 600', { probe, readyMsMax: 1, waitsForOthers: true }).ready;
    isReady = false;
    process.kill(pids[0] ?? 0, 'SIGKILL');
    await eventually('it is started again', () => pids.length === 2);
    const before = probes;
    // The first probe after the time is over would end a program that does not wait.
    await eventually('it has waited', () => probes >= before + 3 || pids.length > 2);
    isReady = true;
    await eventually('it is back', () => reports.includes('  part is back'));
    expect(pids).toHaveLength(2);
  });

  test('that ends before it is ready fails the start with its log tail', async () => {
    const { ready } = run('echo the port is taken; exit 4', { probe: refuse });
    await expect(ready).rejects.toThrow(/part did not start: exit code 4\n.*the port is taken/);
    expect(pids).toHaveLength(1);
  });

  test('may be given several tries to start', async () => {
    const mark = join(dir, 'mark');
    const { ready } = run(`test -e ${mark} && exec sleep 600; touch ${mark}; exit 1`, {
      startTriesMax: 2,
      probe: () =>
        existsSync(join(dir, 'mark')) && pids.length === 2 ? Promise.resolve() : refuse(),
    });
    await ready;
    expect(pids).toHaveLength(2);
  });

  test('that is never ready is stopped, and the error says why', async () => {
    const { ready } = run('exec sleep 600', { probe: refuse, readyMsMax: 300 });
    await expect(ready).rejects.toThrow(/not ready within .*connection refused/);
    expect(identify(pids[0] ?? 0)).toBeUndefined();
  });

  test('that is stopped stays stopped, also while it is still starting', async () => {
    const part = run('echo up; exec sleep 600', { probe: refuse });
    const fault = expect(part.ready).rejects.toThrow();
    const log = join(dir, 'part.log');
    await eventually('it runs', () =>
      Promise.resolve(existsSync(log) && readFileSync(log, 'utf8').includes('up')),
    );
    await part.stop();
    await fault;
    expect(pids.map(identify)).toEqual([undefined]);
  });
});
