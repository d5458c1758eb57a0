import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ensureTopics, saleTopics } from '../../../engine/kafka/topics';
import type { Env } from '../../../platform/config';
import { LOOPBACK } from '../../../platform/machine';
import type { EngineName } from '../../../stack/engine';
import { freePorts } from '../../../stack/ground/ports';
import { spawnGuarded, type Program } from '../../../stack/processes/guarded-process';
import { until } from '../../../platform/until';
import type { Checkout } from './checkout';
import type { BenchContext } from './context';

/** A process that a suite has started. */
export interface BenchProcess {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** SIGTERM, and SIGKILL if it does not end. May be called again. */
  readonly stop: () => Promise<unknown>;
}

const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 22_000;

/** Topics, consumer group, task queue and payment ledger of their own for the processes of one suite. */
export interface EngineGround {
  readonly ordersTopic: string;
  readonly env: Env;
}

/** Makes the topics. `env` is what the processes get beyond the addresses. */
export async function layGround(context: BenchContext, env: Env = {}): Promise<EngineGround> {
  const { stack, dataDir } = context;
  const name = randomBytes(4).toString('hex');
  const topics = { ordersTopic: `orders-${name}`, deadLetterTopic: `orders-dlq-${name}` };
  await ensureTopics(stack.kafkaAddr.split(','), saleTopics(topics));
  return {
    ordersTopic: topics.ordersTopic,
    env: {
      ORDERS_TOPIC: topics.ordersTopic,
      DLQ_TOPIC: topics.deadLetterTopic,
      CONSUMER_GROUP: `ingest-${name}`,
      TASK_QUEUE: `orders-${name}`,
      PAYMENT_LEDGER_FILE: join(dataDir, `payments-${name}.jsonl`),
      REDIS_ADDR: stack.redisAddr,
      KAFKA_ADDR: stack.kafkaAddr,
      TEMPORAL_ADDRESS: stack.temporalAddress,
      LOG_LEVEL: 'warn',
      ...(stack.temporalUiUrl !== undefined && { TEMPORAL_UI_URL: stack.temporalUiUrl }),
      ...env,
    },
  };
}

/** Starts one process of the engine as it was built in `checkout`, and waits until it is ready. */
export async function startEngineProcess(
  context: BenchContext,
  name: EngineName,
  ground: EngineGround,
  { checkout = context.checkout, env = {} }: { checkout?: Checkout; env?: Env } = {},
): Promise<BenchProcess> {
  const { gateway: port } = await freePorts();
  const logFile = join(context.dataDir, `${name}-${port}.log`);
  const program = checkout.engineProgram(checkout.root, name, {
    port,
    env: { ...ground.env, ...env },
    logFile,
  });
  const profile =
    context.profileDir === undefined
      ? []
      : [
          '--cpu-prof',
          `--cpu-prof-dir=${context.profileDir}`,
          `--cpu-prof-name=${name}-${port}.cpuprofile`,
        ];
  const args = [...profile, ...program.args];
  return startProcess(context, { ...program, args, name, port, probe: program.probe });
}

/** Starts a rival of the gateway and waits until it answers. */
export async function startRival(
  context: BenchContext,
  rival: string,
  ground: EngineGround,
): Promise<BenchProcess> {
  const { gateway: port } = await freePorts();
  const { redisAddr, kafkaAddr } = context.stack;
  return startProcess(context, {
    name: rival,
    port,
    command: process.execPath,
    args: [
      join(context.root, 'dist', 'proof', 'bench', 'rivals', 'main.js'),
      ...[rival, String(port), redisAddr, kafkaAddr, ground.ordersTopic],
    ],
    env: {},
    cwd: context.root,
    logFile: join(context.dataDir, `rival-${rival}.log`),
    probe: () => answersHttp(port),
  });
}

async function startProcess(
  { root, signal, onEnd }: BenchContext,
  program: Program & { name: string; port: number; probe: () => Promise<unknown> },
): Promise<BenchProcess> {
  const running = spawnGuarded(root, program);
  const stop = () => running.stop(STOP_MS_MAX);
  onEnd(stop);
  const dead = running.exited.then(() => {
    throw new Error(`${program.name} has ended, see ${program.logFile}`);
  });
  const ready = until(`${program.name} is not ready, see ${program.logFile}`, program.probe, {
    withinMs: READY_MS_MAX,
    signal,
  });
  // Whichever comes second has no reader.
  void Promise.allSettled([dead, ready]);
  await Promise.race([dead, ready]);
  return { name: program.name, port: program.port, pid: running.pid, stop };
}

/** A rival knows no health check: that it answers a purchase at all is what is asked. */
async function answersHttp(port: number): Promise<void> {
  const body = '{"user_id":"u","item_id":"i","amount":1,"request_id":"probe"}';
  const url = `http://${LOOPBACK}:${port}/buy`;
  const response = await fetch(url, { method: 'POST', body, signal: AbortSignal.timeout(2_000) });
  await response.text();
}
