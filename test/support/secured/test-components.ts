import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Context } from '../../../stack/components/component';
import { ADDRESS_VARIABLES, freePorts, loadStackSettings } from '../../../stack/settings';
import { supervise } from '../../../stack/supervisor';

const ROOT = join(__dirname, '..', '..', '..');

export interface TestComponents {
  readonly root: string;
  readonly dataDir: string;
  readonly context: Context;
  /** The process id of a started component, by its name. */
  readonly pidOf: (name: string) => number;
  readonly stop: () => Promise<void>;
}

/** A context in which a test starts components in addition to those of the run: in the run's folder, on other free ports. */
export async function createTestComponents(name: string): Promise<TestComponents> {
  const runDir = process.env['TEST_DATA_DIR'] ?? join(ROOT, 'var');
  const dataDir = join(runDir, `${name}-${randomUUID().slice(0, 8)}`);
  const env = { ...process.env };
  for (const variable of ADDRESS_VARIABLES) Reflect.deleteProperty(env, variable);
  const settings = { ...loadStackSettings(env, ROOT), dataDir, ports: await freePorts() };
  const silent = () => undefined;
  const stops: (() => Promise<void>)[] = [];
  const pids = new Map<string, number>();
  return {
    root: ROOT,
    dataDir,
    context: {
      settings,
      report: silent,
      signal: new AbortController().signal,
      run: async (program) => {
        const onStart = (pid: number) => {
          pids.set(program.name, pid);
        };
        const supervised = supervise(ROOT, program, { report: silent, onStart });
        stops.unshift(supervised.stop);
        await supervised.ready;
      },
    },
    pidOf: (name) => pids.get(name) ?? NaN,
    stop: async () => {
      for (const stop of stops.splice(0)) await stop();
    },
  };
}
