import { join } from 'node:path';
import { removeAbandoned } from '../../stack/data-dir';
import { ADDRESS_VARIABLES, freePorts, loadStackSettings } from '../../stack/settings';
import { startStack, type Stack } from '../../stack/stack';

const ROOT = join(__dirname, '..', '..');
const PREFIX = 'test-';

export interface TestStack {
  readonly stack: Stack;
  readonly dataDir: string;
}

/** Set by a program that runs jest several times on its own components: it passes their addresses and stops them. */
const areGiven = () => process.env['TEST_COMPONENTS'] === 'given';

/**
 * Starts Redis, Kafka, Temporal and PostgreSQL for this run, on free ports and in a new folder, and puts their addresses into the
 * environment. If the run is killed, the guards stop the components, and the next run removes the folder.
 */
export default async function startComponents(): Promise<void> {
  const workflowBundle = join(ROOT, 'dist', 'workflow-bundle.js');
  if (areGiven()) {
    process.env['WORKFLOW_BUNDLE'] = workflowBundle;
    return;
  }
  // Tests never use a running stack: they write to and empty what they connect to.
  for (const name of ADDRESS_VARIABLES) Reflect.deleteProperty(process.env, name);
  removeAbandoned(join(ROOT, 'var'), PREFIX);
  const dataDir = join(ROOT, 'var', `${PREFIX}${String(process.pid)}`);
  const settings = { ...loadStackSettings(process.env, ROOT), dataDir, ports: await freePorts() };
  const report = (line: string) => process.stdout.write(`${line}\n`);
  report('\nStarting the components of this test run:');
  const stack = await startStack({
    settings,
    engine: false,
    fresh: true,
    report,
    signal: new AbortController().signal,
  });
  // Jest loads the teardown in the same process but as a separate module.
  Object.assign(globalThis, { testStack: { stack, dataDir } satisfies TestStack });
  Object.assign(process.env, {
    REDIS_ADDR: stack.redisAddr,
    KAFKA_ADDR: stack.kafkaAddr,
    TEMPORAL_ADDRESS: stack.temporalAddress,
    TEMPORAL_UI_URL: stack.temporalUiUrl ?? '',
    DATABASE_URL: stack.databaseUrl,
    WORKFLOW_BUNDLE: workflowBundle,
    TEST_DATA_DIR: dataDir,
  });
}
