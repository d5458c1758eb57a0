import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadRedisAccess, type Env } from '../platform/config';
import { startKafka } from './components/kafka';
import { startRedis } from './components/redis';
import { startTemporal } from './components/temporal';
import type { Component, Context } from './ground/context';
import { claimDataDir, type DataDir } from './ground/data-dir';
import { DEMO_ITEM, putDemoItemOnSale } from '../setup/demo-item';
import { engineProgram, type EngineName } from './engine';
import { operatorToken } from './operator-token';
import { givenAccess, withoutForeignAccess } from './ground/given';
import { LOOPBACK } from '../platform/machine';
import { claimPorts } from './ground/ports';
import { rotateLog } from './processes/last-words';
import { supervise, type SupervisedProgram } from './processes/supervisor';
import { isAbort, untilAborted } from '../platform/until';
import { UserError, describeError } from '../platform/user-error';
import { reportPart, type Report } from './ground/report';
import { ownPorts, type PortName, type StackSettings } from './ground/settings';

export interface StackOptions {
  readonly settings: StackSettings;
  /** Whether to start our own processes, too, and put the demo item on sale. */
  readonly engine: boolean;
  /** Wipe the data first. */
  readonly fresh: boolean;
  readonly report: Report;
  /** Aborting it ends a start that is under way; a started stack is ended by `stop`. */
  readonly signal: AbortSignal;
}

export interface Stack {
  readonly redisAddr: string;
  readonly kafkaAddr: string;
  readonly temporalAddress: string;
  readonly temporalUiUrl: string | undefined;
  readonly paymentUrl: string;
  /** The process ids of what was started, by name; a process that was started again has its new one. */
  readonly pids: ReadonlyMap<string, number>;
  /** Ends everything that was started, in the reverse order. May be called again. */
  readonly stop: () => Promise<void>;
}

/**
 * Brings up Redis, Kafka and Temporal side by side, then the engine. Whatever goes wrong, nothing that was started
 * stays behind. Throws a UserError for what the person at the terminal can mend, the signal's reason when aborted.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { settings, report, fresh } = options;
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
  const giveUp = new AbortController();
  const abort = () => {
    giveUp.abort();
  };
  const signal = AbortSignal.any([options.signal, giveUp.signal]);
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
    await claimStackPorts(options, dataDir, signal);
    const context: Context = { settings, report, signal, run: run('components') };
    const components = await startComponents(context, abort);
    if (options.engine) await startEngine(context, run, components, abort);
    const paymentUrl = paymentUrlOf(settings);
    dataDir.announce({
      gateway: `http://${LOOPBACK}:${settings.ports.gateway}`,
      payments: paymentUrl,
      redis: components.redisAddr,
      kafka: components.kafkaAddr,
      temporal: components.temporalAddress,
      ...(components.temporalUiUrl !== undefined && { temporalUi: components.temporalUiUrl }),
    });
    return { ...components, paymentUrl, pids, stop };
  } catch (error) {
    abort();
    await stop();
    throw error;
  }
}

/** Stopped in this order: nobody loses what it stands on before it has put down what it holds. */
const LAYERS = ['api', 'ingest', 'worker', 'simulator', 'components'] as const;
type Layer = (typeof LAYERS)[number];

type Components = Pick<Stack, 'redisAddr' | 'kafkaAddr' | 'temporalAddress' | 'temporalUiUrl'>;

async function claimStackPorts(
  { settings, engine }: StackOptions,
  { wasAbandoned }: DataDir,
  signal: AbortSignal,
) {
  const names = ownPorts(settings, { engine });
  await claimPorts(settings.ports, names, { patient: wasAbandoned, signal });
}

async function startComponents(context: Context, giveUp: () => void): Promise<Components> {
  const part = <T extends Component>(name: string, start: (context: Context) => Promise<T>) =>
    reportPart(
      context.report,
      name,
      () => start(context),
      ({ address, origin }) => `${address.padEnd(21)} ${origin}`,
    );
  const [redis, kafka, temporal] = await allOrNone(giveUp, [
    part('Redis', startRedis),
    part('Kafka', startKafka),
    part('Temporal', startTemporal),
  ]);
  return {
    redisAddr: redis.address,
    kafkaAddr: kafka.address,
    temporalAddress: temporal.address,
    temporalUiUrl: temporal.uiUrl,
  };
}

async function startEngine(
  context: Context,
  run: (layer: Layer) => Context['run'],
  components: Components,
  giveUp: () => void,
): Promise<void> {
  const { settings, report } = context;
  await reportPart(
    report,
    `item ${DEMO_ITEM}`,
    () =>
      putDemoItemOnSale(
        settings.redisAddr === undefined
          ? components.redisAddr
          : givenAccess(loadRedisAccess, settings),
      ),
    (state) => state,
  );
  const env = engineEnv(settings, components);
  const starts = engineNames(settings).map(async (name) => {
    const port = settings.ports[ENGINE_PORTS[name]];
    const logFile = join(settings.dataDir, `${name}.log`);
    const own = name === 'api' ? { ...env, ...operatorEnv(settings) } : env;
    const program = engineProgram(settings.root, name, { port, env: own, logFile });
    await reportPart(
      report,
      name,
      () => run(name)(program),
      () => program.url,
    );
  });
  await allOrNone(giveUp, starts);
}

const ENGINE_PORTS = {
  api: 'gateway',
  ingest: 'ingest',
  worker: 'worker',
  simulator: 'payment',
} as const satisfies Record<EngineName, PortName>;

/** A payment provider given from outside leaves nothing for the simulator to do. */
function engineNames({ paymentUrl }: StackSettings): readonly EngineName[] {
  const own = ['worker', 'ingest', 'api'] as const;
  return paymentUrl === undefined ? ['simulator', ...own] : own;
}

function engineEnv(settings: StackSettings, components: Components): Env {
  const { redisAddr, kafkaAddr, temporalAddress, temporalUiUrl } = components;
  const paymentsDir = join(settings.dataDir, 'payments');
  mkdirSync(paymentsDir, { recursive: true });
  return {
    PAYMENT_LEDGER_FILE: join(paymentsDir, 'ledger.jsonl'),
    ...withoutForeignAccess(settings),
    REDIS_ADDR: redisAddr,
    KAFKA_ADDR: kafkaAddr,
    TEMPORAL_ADDRESS: temporalAddress,
    ...(temporalUiUrl !== undefined && { TEMPORAL_UI_URL: temporalUiUrl }),
    PAYMENT_URL: paymentUrlOf(settings),
  };
}

/** Only the gateway is to know it. A token from outside stays the one. */
function operatorEnv({ env, dataDir }: StackSettings): Env {
  const given = env['OPERATOR_TOKEN']?.trim();
  return { OPERATOR_TOKEN: given ? given : operatorToken(dataDir) };
}

function paymentUrlOf({ paymentUrl, ports }: StackSettings): string {
  return paymentUrl ?? `http://${LOOPBACK}:${ports.payment}`;
}

/**
 * Waits for all parts. With the first fault `giveUp` is called, and once every part has ended, the faults are thrown
 * as one: parts that only gave up are not among them.
 */
async function allOrNone<T extends readonly Promise<unknown>[]>(
  giveUp: () => void,
  parts: [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  for (const part of parts) part.catch(giveUp);
  const results = await Promise.allSettled(parts);
  const faults = results
    .flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []))
    .map((reason) => (reason instanceof Error ? reason : new Error(String(reason))))
    .filter((fault) => !isAbort(fault));
  if (faults.length > 1) {
    const text = faults.map(describeError).join('\n');
    const cause = new AggregateError(faults);
    throw faults.every((fault) => fault instanceof UserError)
      ? new UserError(text)
      : new Error(text, { cause });
  }
  if (faults[0]) throw faults[0];
  return Promise.all(parts);
}
