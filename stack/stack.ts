import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadRedisAccess, type Env } from '../platform/config';
import { LOOPBACK } from '../platform/machine';
import { isAbort, untilAborted } from '../platform/until';
import { UserError, describeError } from '../platform/user-error';
import { DEMO_ITEM, putDemoItemOnSale } from '../setup/demo-item';
import { givenAccess, type Component, type Context } from './components/component';
import { startKafka } from './components/kafka';
import { startPostgres } from './components/postgres';
import { startRedis } from './components/redis';
import { startTemporal } from './components/temporal';
import { claimDataDir, operatorsFile, operatorToken, webhookSecret } from './data-dir';
import { ENGINE, engineProgram } from './engine';
import { rotateLog } from './guarded-process';
import { reportPart, type Report } from './report';
import { claimPorts, ownPorts, type StackSettings } from './settings';
import { supervise, type SupervisedProgram } from './supervisor';

export interface Stack {
  readonly redisAddr: string;
  readonly kafkaAddr: string;
  readonly temporalAddress: string;
  readonly temporalUiUrl: string | undefined;
  /** With the password, of the server that the stack started; undefined where DATABASE_URL names another one. */
  readonly databaseUrl: string | undefined;
  readonly paymentUrl: string;
  /** The process ids of what was started, by name. A restarted process has its new one. */
  readonly pids: ReadonlyMap<string, number>;
  /** Stops everything that was started, in reverse order. May be called again. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts Redis, Kafka, Temporal and PostgreSQL side by side, then the engine. On an error it stops what it has started, and throws a
 * UserError for what the person at the terminal can mend, or the signal's reason when that is aborted.
 */
export async function startStack(options: {
  readonly settings: StackSettings;
  /** Whether to start the engine's processes and put the demo item on sale. */
  readonly engine: boolean;
  /** Remove the data first. */
  readonly fresh: boolean;
  readonly report: Report;
  /** Aborts a start in progress. A running stack is ended by `stop`. */
  readonly signal: AbortSignal;
}): Promise<Stack> {
  const { settings, engine, report, fresh } = options;
  const dataDir = await claimDataDir(settings.dataDir, { fresh, signal: options.signal });
  const pids = new Map<string, number>();
  const started: { layer: Layer; stop: () => Promise<void> }[] = [];
  const stop = async () => {
    for (const layer of LAYERS) {
      const parts = started.filter((part) => part.layer === layer);
      await Promise.all(parts.map((part) => part.stop()));
    }
    dataDir.release();
  };
  const failed = new AbortController();
  const abort = () => {
    failed.abort();
  };
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const run = (layer: Layer) => async (program: SupervisedProgram) => {
    signal.throwIfAborted();
    rotateLog(program.logFile);
    const onStart = (pid: number) => {
      pids.set(program.name, pid);
      dataDir.remember(pid);
    };
    const supervised = supervise(settings.root, program, { report, onStart });
    started.push({ layer, stop: supervised.stop });
    await untilAborted(supervised.ready, signal);
  };
  try {
    await claimPorts(settings.ports, ownPorts(settings, { engine }), {
      patient: dataDir.wasAbandoned,
      signal,
    });
    const context: Context = { settings, report, signal, run: run('components') };
    const components = await startComponents(context, abort);
    if (engine) await startEngine(context, run, components, abort);
    dataDir.announce({
      gateway: `http://${LOOPBACK}:${settings.ports.gateway}`,
      admin: `http://${LOOPBACK}:${settings.ports.admin}`,
      payments: components.paymentUrl,
      redis: components.redisAddr,
      kafka: components.kafkaAddr,
      temporal: components.temporalAddress,
      database: components.databaseAddress,
      ...(components.temporalUiUrl !== undefined && { temporalUi: components.temporalUiUrl }),
    });
    return { ...components, pids, stop };
  } catch (error) {
    abort();
    await stop();
    throw error;
  }
}

/** The order of stopping: a process stops before what it depends on, so that it can finish its work. */
const LAYERS = ['api', 'ingest', 'worker', 'archiver', 'simulator', 'components'] as const;
type Layer = (typeof LAYERS)[number];

type Components = Awaited<ReturnType<typeof startComponents>>;

async function startComponents(context: Context, abort: () => void) {
  const { settings, report } = context;
  const part = <T extends Component>(name: string, start: (context: Context) => Promise<T>) =>
    reportPart(
      report,
      name,
      () => start(context),
      ({ address, origin }) => `${address.padEnd(21)} ${origin}`,
    );
  const [redis, kafka, temporal, postgres] = await allOrNone(abort, [
    part('Redis', startRedis),
    part('Kafka', startKafka),
    part('Temporal', startTemporal),
    part('PostgreSQL', startPostgres),
  ]);
  return {
    redisAddr: redis.address,
    kafkaAddr: kafka.address,
    temporalAddress: temporal.address,
    temporalUiUrl: temporal.uiUrl,
    databaseAddress: postgres.address,
    databaseUrl: postgres.url,
    paymentUrl: settings.paymentUrl ?? `http://${LOOPBACK}:${settings.ports.payment}`,
  };
}

async function startEngine(
  { settings, report }: Context,
  run: (layer: Layer) => Context['run'],
  components: Components,
  abort: () => void,
): Promise<void> {
  const redis =
    settings.redisAddr === undefined
      ? components.redisAddr
      : givenAccess(loadRedisAccess, settings);
  await reportPart(
    report,
    `item ${DEMO_ITEM}`,
    () => putDemoItemOnSale(redis),
    (state) => state,
  );
  const env = engineEnv(settings, components);
  const operators = {
    OPERATOR_TOKEN: settings.operatorToken ?? operatorToken(settings.dataDir),
    OPERATORS_FILE: settings.operatorsFile ?? operatorsFile(settings.dataDir),
  };
  const own = ['worker', 'ingest', 'archiver', 'api'] as const;
  // Another payment provider replaces the simulator.
  const names = settings.paymentUrl === undefined ? (['simulator', ...own] as const) : own;
  const starts = names.map(async (name) => {
    const program = engineProgram(settings.root, name, {
      port: settings.ports[ENGINE[name].port],
      adminPort: settings.ports.admin,
      // Only the gateway gets the operators' credentials.
      env: name === 'api' ? { ...env, ...operators } : env,
      logFile: join(settings.dataDir, `${name}.log`),
    });
    await reportPart(
      report,
      name,
      () => run(name)(program),
      () => (name === 'api' ? `${program.url}, operators ${program.adminUrl}` : program.url),
    );
  });
  await allOrNone(abort, starts);
}

/**
 * The environment of the engine's processes. Passwords and certificates are left out where the stack started the server
 * itself: they belong to another one and would be refused.
 */
function engineEnv({ env, dataDir, ...given }: StackSettings, components: Components): Env {
  const paymentsDir = join(dataDir, 'payments');
  mkdirSync(paymentsDir, { recursive: true });
  const foreign = [
    ...(given.redisAddr === undefined ? [/^REDIS_(CLUSTER|USERNAME|PASSWORD|TLS)/] : []),
    ...(given.kafkaAddr === undefined ? [/^KAFKA_(SASL|TLS)/] : []),
    ...(given.temporalAddress === undefined ? [/^TEMPORAL_(API_KEY|TLS|CONFIG_FILE|PROFILE)/] : []),
    ...(given.isDatabaseGiven ? [] : [/^DATABASE_(URL|TLS)/]),
  ];
  const inherited = Object.entries(env).filter(
    ([name]) => !foreign.some((pattern) => pattern.test(name)),
  );
  const { redisAddr, kafkaAddr, temporalAddress, temporalUiUrl, databaseUrl, paymentUrl } =
    components;
  return {
    PAYMENT_LEDGER_FILE: join(paymentsDir, 'ledger.jsonl'),
    PAYMENT_WEBHOOK_URL: `http://${LOOPBACK}:${given.ports.gateway}/webhooks/payments`,
    ...(env['PAYMENT_WEBHOOK_SECRET_FILE'] === undefined && {
      PAYMENT_WEBHOOK_SECRET: webhookSecret(dataDir),
    }),
    ...Object.fromEntries(inherited),
    REDIS_ADDR: redisAddr,
    KAFKA_ADDR: kafkaAddr,
    TEMPORAL_ADDRESS: temporalAddress,
    ...(temporalUiUrl !== undefined && { TEMPORAL_UI_URL: temporalUiUrl }),
    ...(databaseUrl !== undefined && { DATABASE_URL: databaseUrl }),
    PAYMENT_URL: paymentUrl,
  };
}

/**
 * Waits for all parts. Calls `abort` at the first error. When every part has ended, throws the errors as one, without
 * those of parts that were only aborted.
 */
async function allOrNone<T extends readonly Promise<unknown>[]>(
  abort: () => void,
  parts: [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  for (const part of parts) part.catch(abort);
  const results = await Promise.allSettled(parts);
  const errors = results
    .flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
    .map((reason) => (reason instanceof Error ? reason : new Error(String(reason))))
    .filter((error) => !isAbort(error));
  if (errors.length > 1) {
    const text = errors.map(describeError).join('\n');
    throw errors.every((error) => error instanceof UserError)
      ? new UserError(text)
      : new Error(text);
  }
  if (errors[0]) throw errors[0];
  return Promise.all(parts);
}
