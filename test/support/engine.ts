import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ensureTopics, saleTopics } from '../../engine/kafka/topics';
import { loadKafkaAccess, loadRedisAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { connectRetryingRedis, type RedisConnection } from '../../platform/redis';
import { type EngineName, type EngineProcess, startEngineProcess } from '../../stack/engine';
import { freePorts } from '../../stack/settings';

const ROOT = join(__dirname, '..', '..');

export interface Engine {
  readonly process: Readonly<Record<EngineName, EngineProcess>>;
  readonly gateway: string;
  readonly payments: string;
  readonly topics: { readonly ordersTopic: string; readonly deadLetterTopic: string };
  readonly taskQueue: string;
  readonly consumerGroup: string;
  readonly redis: RedisConnection;
  /** What a process has written so far. */
  readonly logFile: (name: EngineName) => string;
  /** One more process of a kind, on a port of its own; `env` overrides what the first one got. */
  readonly startAnother: (
    name: EngineName,
    env?: Readonly<Record<string, string>>,
  ) => Promise<EngineProcess>;
  readonly stop: () => Promise<void>;
}

/**
 * Starts the built engine as real processes, with topics, a consumer group and a task queue of its own, on the components
 * of this test run. `env` overrides what every process gets. Stop it in an afterAll.
 */
export async function startEngine(env: Readonly<Record<string, string>> = {}): Promise<Engine> {
  const name = randomUUID().slice(0, 8);
  const taskQueue = `orders-${name}`;
  const consumerGroup = `ingest-${name}`;
  const topics = { ordersTopic: `orders-${name}`, deadLetterTopic: `orders-dlq-${name}` };
  await ensureTopics(loadKafkaAccess({ ...process.env, ...env }), saleTopics(topics));
  const ports = await freePorts();
  const payments = `http://127.0.0.1:${String(ports.payment)}`;
  const dataDir = join(process.env['TEST_DATA_DIR'] ?? join(ROOT, 'var'), `engine-${name}`);
  const shared = {
    ...process.env,
    PAYMENT_URL: payments,
    PAYMENT_LEDGER_FILE: join(dataDir, 'payments.jsonl'),
    ORDERS_TOPIC: topics.ordersTopic,
    DLQ_TOPIC: topics.deadLetterTopic,
    CONSUMER_GROUP: consumerGroup,
    TASK_QUEUE: taskQueue,
    // Its questions to the provider would meet faults that a test has set for the saga.
    AUDIT_EVERY: '0',
    ...env,
  };
  const logFile = (part: EngineName) => join(dataDir, `${part}.log`);
  const start = (part: EngineName, port: number, own: Readonly<Record<string, string>> = {}) =>
    startEngineProcess(ROOT, part, {
      port,
      env: { ...shared, ...own },
      logFile: logFile(part),
    });
  const [simulator, worker, ingest, api] = await Promise.all([
    start('simulator', ports.payment),
    start('worker', ports.worker),
    start('ingest', ports.ingest),
    start('api', ports.gateway),
  ]);
  const access = loadRedisAccess({ ...process.env, ...env });
  const redis = connectRetryingRedis(access, createLogger('test', 'silent'));
  const processes = { api, ingest, worker, simulator };
  const others: EngineProcess[] = [];
  return {
    process: processes,
    gateway: api.url,
    payments,
    topics,
    ...{ taskQueue, consumerGroup, redis },
    logFile,
    startAnother: async (part, own) => {
      const another = await start(part, (await freePorts()).gateway, own);
      others.push(another);
      return another;
    },
    stop: async () => {
      await Promise.all([...others, api, ingest, worker].map((one) => one.stop()));
      await simulator.stop();
      await redis.quit();
    },
  };
}
