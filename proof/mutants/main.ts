import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../../platform/config';
import { removeAbandoned } from '../../stack/data-dir';
import { freePorts, loadStackSettings } from '../../stack/settings';
import { type Report, seconds } from '../../stack/report';
import { isAbort } from '../../platform/until';
import { startStack, type Stack } from '../../stack/stack';
import { MUTANTS } from './catalogue';
import { copyCheckout } from './checkout';
import { catchTable, hunt } from './hunt';
import type { Mutant } from './mutant';
import { describeError, UserError } from '../../platform/user-error';

/** Compiled, this file lies in dist/proof/mutants. */
const ROOT = join(__dirname, '..', '..', '..');
const PREFIX = 'mutants-';

/** The exit codes by which a shell tells that a signal ended a program. */
const SIGNAL_CODES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

async function main(args: readonly string[], env: Env): Promise<number> {
  const mutants = chosen(args);
  const report: Report = (line) => {
    process.stdout.write(`${line}\n`);
  };
  const stopping = new AbortController();
  let stoppedWith = 0;
  const stopWith = (code: number) => () => {
    if (stopping.signal.aborted) return;
    stoppedWith = code;
    report('\nStopping ...');
    stopping.abort();
  };
  for (const [name, code] of Object.entries(SIGNAL_CODES)) process.on(name, stopWith(code));
  // The other end is npm's: whatever ends it ends us.
  process.once('disconnect', stopWith(1));

  removeAbandoned(join(ROOT, 'var'), PREFIX);
  const dataDir = join(ROOT, 'var', `${PREFIX}${String(process.pid)}`);
  let stack: Stack | undefined;
  try {
    report('Starting the components, once for all mutants:');
    stack = await startComponents(dataDir, env, report, stopping.signal);
    return await huntAll(mutants, {
      dataDir,
      env: testEnv(env, stack, dataDir),
      report,
      signal: stopping.signal,
    });
  } catch (error) {
    if (!isAbort(error)) throw error;
    return stoppedWith;
  } finally {
    await stack?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function huntAll(
  mutants: readonly Mutant[],
  { dataDir, ...options }: { dataDir: string; env: Env; report: Report; signal: AbortSignal },
): Promise<number> {
  const { report } = options;
  const startedAt = Date.now();
  const checkout = copyCheckout(ROOT, join(dataDir, 'checkout'));
  const caught = await hunt({ ...options, mutants, checkout });
  const survivors = caught.filter(({ by }) => by === undefined);
  report(`\n${catchTable(caught)}\n`);
  report(
    `${String(caught.length - survivors.length)} of ${String(caught.length)} mutants caught in ${seconds(Date.now() - startedAt)}.`,
  );
  return survivors.length === 0 ? 0 : 1;
}

/** Only `--only <name>`, any number of times. Throws a UserError for anything else. */
function chosen(args: readonly string[]): readonly Mutant[] {
  if (args.length === 0) return MUTANTS;
  const names: string[] = [];
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i + 1];
    if (args[i] !== '--only' || name === undefined) {
      throw new UserError('Usage: npm run mutants [-- --only <name>] ...');
    }
    names.push(name);
  }
  return names.map((name) => {
    const mutant = MUTANTS.find((one) => one.name === name);
    if (mutant) return mutant;
    throw new UserError(
      `There is no mutant "${name}", only:\n${MUTANTS.map((one) => `  ${one.name}`).join('\n')}`,
    );
  });
}

/** Addresses of a running stack are not for tests, whatever the environment says. */
async function startComponents(dataDir: string, env: Env, report: Report, signal: AbortSignal) {
  const given = { redisAddr: undefined, kafkaAddr: undefined, temporalAddress: undefined };
  const settings = { ...loadStackSettings(env, ROOT), ...given, dataDir, ports: await freePorts() };
  return startStack({ settings, engine: false, fresh: true, report, signal });
}

/** What the tests' global setup takes as given instead of starting components. */
function testEnv(env: Env, stack: Stack, dataDir: string): Env {
  return {
    ...env,
    TEST_COMPONENTS: 'given',
    REDIS_ADDR: stack.redisAddr,
    KAFKA_ADDR: stack.kafkaAddr,
    TEMPORAL_ADDRESS: stack.temporalAddress,
    TEMPORAL_UI_URL: stack.temporalUiUrl ?? '',
    TEST_DATA_DIR: dataDir,
  };
}

main(process.argv.slice(2), process.env).then(
  (code) => process.exit(code),
  (error: unknown) => {
    const text = error instanceof UserError ? error.message : describeError(error);
    process.stderr.write(`\n${text}\n`);
    process.exit(1);
  },
);
