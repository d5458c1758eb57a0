import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { connectRetryingRedis, type RedisConnection } from '../../platform/redis';
import { loadCheckout, ownCheckout, type Checkout } from '../../stack/checkout';
import { createEngineInstance } from '../../stack/engine-instance';
import { removeAbandoned } from '../../stack/data-dir';
import { ADDRESS_VARIABLES, freePorts } from '../../stack/settings';
import type { Stack } from '../../stack/stack';
import { startGenerator, type LoadGenerator } from './children';
import type { SuiteResult } from './report';
import type { PartPids } from './usage';

/** What the command line decides about a run. */
export interface BenchOptions {
  /** This checkout, built. */
  readonly root: string;
  readonly env: Env;
  /** Shorter and fewer: to see that it works, not to believe the figures. */
  readonly quick: boolean;
  /** Folder of another built checkout, which the suites door and drain compare with this one. */
  readonly against?: string;
  /** Another Temporal server, which the suite drain compares with the stack's own. */
  readonly temporal?: 'postgres';
  /** The suite door also measures a gateway whose buyers have tokens. */
  readonly buyerAuth?: 'jwt';
  /** Connections of the door suite, one number after the other. */
  readonly connections?: readonly number[];
  /** Sizes of the drain suite, one after the other; the size of the suites rebuild and years. */
  readonly orders?: readonly number[];
  /** Folder for CPU profiles of the engine's processes. */
  readonly profile?: string;
  readonly log: (line: string) => void;
  /** Aborted by Ctrl-C; every wait ends with it. */
  readonly signal: AbortSignal;
}

/** What a suite works with. The bench ends whatever a suite starts, also when the suite throws. */
export interface BenchEnvironment extends Omit<BenchOptions, 'against'> {
  /** The checkout whose programs run on `stack`. */
  readonly checkout: Checkout;
  readonly against: Checkout | undefined;
  readonly stack: Stack;
  readonly redis: RedisConnection;
  /** Folder of this run's data and logs; removed at the end. */
  readonly dataDir: string;
  readonly generator: LoadGenerator;
  /** Ends what was started, newest first. `stop` is called even if it has been called before. */
  readonly onEnd: (stop: () => unknown) => void;
}

export interface Suite {
  readonly about: string;
  /** Takes too long to run with all others. */
  readonly onlyByName?: true;
  readonly run: (bench: BenchEnvironment) => Promise<SuiteResult>;
}

const PREFIX = 'bench-';

/**
 * Starts Redis, Kafka, Temporal and PostgreSQL for this run alone, on free ports and in a folder of its own, runs `use`, and removes
 * all of it, whatever `use` does. The next run removes what a killed run has left.
 */
export async function withEnvironment(
  options: BenchOptions,
  use: (bench: BenchEnvironment) => Promise<void>,
): Promise<void> {
  const { root } = options;
  removeAbandoned(join(root, 'var'), PREFIX);
  const dataDir = join(root, 'var', `${PREFIX}${process.pid}`);
  if (options.profile !== undefined) mkdirSync(options.profile, { recursive: true });
  const stops: (() => unknown)[] = [];
  const onEnd = (stop: () => unknown) => {
    stops.push(stop);
  };
  // The addresses of a running stack are ignored: a bench fills what it finds.
  const env = { ...options.env };
  for (const name of ADDRESS_VARIABLES) Reflect.deleteProperty(env, name);
  try {
    const checkout = ownCheckout(root);
    const against = options.against === undefined ? undefined : loadCheckout(options.against);
    const run = { ...options, env, against, dataDir, onEnd };
    const servers = await startServers(checkout, run);
    const generator = startGenerator();
    onEnd(generator.stop);
    await use({ ...run, ...servers, checkout, generator });
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** The same bench on servers of another checkout's own, which run beside those of this one. */
export async function withServersOf(
  checkout: Checkout,
  bench: BenchEnvironment,
): Promise<BenchEnvironment> {
  const dataDir = join(bench.dataDir, 'against');
  const servers = await startServers(checkout, { ...bench, dataDir });
  return { ...bench, ...servers, checkout, dataDir };
}

/** A Temporal server that is not the stack's own. */
export interface TemporalServer {
  readonly address: string;
  readonly pids: PartPids;
}

/** The same bench with that Temporal server, and with Redis and Kafka of its own. */
export async function withTemporal(
  { address, pids }: TemporalServer,
  bench: BenchEnvironment,
): Promise<BenchEnvironment> {
  const dataDir = join(bench.dataDir, 'temporal');
  const env = { ...bench.env, TEMPORAL_ADDRESS: address };
  const { stack, redis } = await startServers(bench.checkout, { ...bench, env, dataDir });
  return {
    ...bench,
    stack: { ...stack, pids: new Map([...stack.pids, ...pids]) },
    redis,
    dataDir,
  };
}

/** Redis, Kafka, Temporal and PostgreSQL, started by the checkout's own code. An older one has no PostgreSQL. */
async function startServers(
  checkout: Checkout,
  run: Pick<BenchEnvironment, 'env' | 'dataDir' | 'log' | 'signal' | 'onEnd'>,
): Promise<Pick<BenchEnvironment, 'stack' | 'redis'>> {
  const { env, dataDir, log, signal, onEnd } = run;
  const ports = await freePorts();
  const settings = { ...checkout.loadStackSettings(env, checkout.root), dataDir, ports };
  const options = { settings, engine: false, fresh: true, report: log, signal };
  const stack = await checkout.startStack(options);
  onEnd(stack.stop);
  const access = { addrs: [stack.redisAddr] };
  const redis = connectRetryingRedis(access, createLogger('bench', 'warn'));
  onEnd(() => {
    redis.disconnect();
  });
  return { stack, redis };
}

/** An engine of the bench's checkout, with topics, group and task queue of its own. */
export async function createEngine(bench: BenchEnvironment, env: Env = {}) {
  const { stack, checkout, profile } = bench;
  const instance = await createEngineInstance({
    checkout,
    kafka: stack.kafkaAddr.split(','),
    dataDir: bench.dataDir,
    signal: bench.signal,
    env: {
      REDIS_ADDR: stack.redisAddr,
      KAFKA_ADDR: stack.kafkaAddr,
      TEMPORAL_ADDRESS: stack.temporalAddress,
      DATABASE_URL: stack.databaseUrl,
      LOG_LEVEL: 'warn',
      // An audit each minute would fall into some rounds and not into others.
      AUDIT_EVERY: '0',
      ...(stack.temporalUiUrl !== undefined && { TEMPORAL_UI_URL: stack.temporalUiUrl }),
      ...env,
    },
    nodeOptions: (logName) =>
      profile === undefined
        ? []
        : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${logName}.cpuprofile`],
  });
  bench.onEnd(instance.stop);
  return instance;
}

export type WholeEngine = Awaited<ReturnType<typeof startWholeEngine>>;

/** The payment simulator and one gateway; as many of ingest and of the worker as `copies` says. */
export async function startWholeEngine(bench: BenchEnvironment, copies = 1) {
  const engine = await createEngine(bench);
  const parts = Array.from({ length: copies }, () => ['ingest', 'worker'] as const).flat();
  const [api, ...others] = await Promise.all([
    engine.start('api'),
    engine.start('simulator'),
    ...parts.map((part) => engine.start(part)),
  ]);
  return { api, processes: [api, ...others], paymentUrl: engine.paymentUrl, stop: engine.stop };
}
