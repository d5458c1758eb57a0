import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { loadKafkaAccess, loadRedisAccess } from '../../platform/config';
import { createLogger } from '../../platform/logger';
import { connectRetryingRedis } from '../../platform/redis';
import { startEngineProcess } from '../../stack/engine';
import { createEngineInstance } from '../../stack/engine-instance';

const ROOT = join(__dirname, '..', '..');

export type Engine = Awaited<ReturnType<typeof startEngine>>;

/**
 * Starts the built engine as real processes, with topics, a consumer group and a task queue of its own, on the components
 * of this test run. `env` overrides what every process gets. Stop it in an afterAll.
 */
export async function startEngine(env: Readonly<Record<string, string>> = {}) {
  const runDir = process.env['TEST_DATA_DIR'] ?? join(ROOT, 'var');
  const given = { ...process.env, ...env };
  const instance = await createEngineInstance({
    checkout: { root: ROOT, startEngineProcess },
    kafka: loadKafkaAccess(given),
    dataDir: join(runDir, `engine-${randomUUID().slice(0, 8)}`),
    // The audit's questions to the provider would meet errors that a test has set for the saga.
    env: { ...process.env, AUDIT_EVERY: '0', ...env },
    signal: new AbortController().signal,
  });
  const [simulator, worker, ingest, api] = await Promise.all([
    instance.start('simulator'),
    instance.start('worker'),
    instance.start('ingest'),
    instance.start('api'),
  ]);
  const redis = connectRetryingRedis(loadRedisAccess(given), createLogger('test', 'silent'));
  const processes = { api, ingest, worker, simulator };
  return {
    process: processes,
    gateway: api.url,
    /** The gateway's listener of operators, metrics and probes. */
    admin: api.adminUrl,
    payments: instance.paymentUrl,
    topics: instance.topics,
    taskQueue: instance.taskQueue,
    consumerGroup: instance.consumerGroup,
    /** host:port */
    redisAddr: given['REDIS_ADDR'] ?? '',
    redis,
    /** The log of the first process of a kind. */
    logFile: (name: keyof typeof processes) => processes[name].logFile,
    /** One more process of a kind, on a port of its own; `env` overrides what the first one got. */
    startAnother: instance.start,
    stop: async () => {
      await instance.stop();
      await redis.quit();
    },
  };
}
