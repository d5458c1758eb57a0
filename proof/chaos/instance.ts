import type { Client } from '@temporalio/client';
import { Redis } from 'ioredis';
import { createKafka } from '../../engine/kafka/kafka-client';
import { withAdmin, type TopicNames } from '../../engine/kafka/topics';
import { createStockLedger } from '../../engine/stock/stock-ledger';
import type { Env } from '../../platform/config';
import { LOOPBACK } from '../../platform/machine';
import { startEngineProcess } from '../../stack/engine';
import { createEngineInstance } from '../../stack/engine-instance';
import { startTcpProxy } from '../../stack/tcp-proxy';
import { openArchivedItems } from './archived-item';
import { createBuyers } from './buyers';
import { PROVIDER_RULES } from './orders-plan';
import type { PostgresFaults } from './postgres-faults';
import { openTopicTail } from './topic-tail';

/** The servers of the run, which its engine instances share. */
export interface Servers {
  readonly root: string;
  /** Host:port each. */
  readonly redisAddr: string;
  readonly kafkaAddr: string;
  readonly temporal: Client;
  readonly temporalAddress: string;
  /** With the archive's schema. */
  readonly databaseUrl: string;
  readonly postgres: PostgresFaults;
  /** For the logs of the processes and the provider's ledger. */
  readonly dataDir: string;
  readonly env: Env;
  readonly signal: AbortSignal;
}

/** How long a buyer waits for a response: half of them longer than any freeze, the other half retry after seconds. */
const PATIENT_MS = 60_000;
const IMPATIENT_MS = 3_000;

/** Of the operator who gives money back. */
export const OPERATOR_TOKEN = 'the-operator-of-the-chaos-harness';

export type Instance = Awaited<ReturnType<typeof openInstance>>;

/**
 * Starts an engine with topics and task queue of its own, on which one case at a time runs, and everything that looks at
 * it. Whatever goes wrong, nothing that was started stays behind.
 */
export async function openInstance(servers: Servers) {
  const { root, redisAddr, kafkaAddr, dataDir, signal, temporal } = servers;
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const one of closers.reverse()) await one();
  };
  try {
    const databaseProxy = await startTcpProxy(addressOf(servers.databaseUrl));
    closers.push(databaseProxy.close);
    const engine = await createEngineInstance({
      checkout: { root, startEngineProcess },
      kafka: [kafkaAddr],
      dataDir,
      signal,
      env: {
        ...servers.env,
        REDIS_ADDR: redisAddr,
        KAFKA_ADDR: kafkaAddr,
        TEMPORAL_ADDRESS: servers.temporalAddress,
        DATABASE_URL: through(databaseProxy.port, servers.databaseUrl),
        // The request_id says which orders are declined.
        PAYMENT_DECLINE_RATE: '0',
        // Open orders are counted by namespace, which the instances share.
        OPEN_ORDERS_MAX: '2000',
        OPERATOR_TOKEN,
        // Where no webhook comes, its reader is waited for.
        PAYMENT_EVENTS_EVERY: '2',
      },
    });
    const redis = new Redis(`redis://${redisAddr}`);
    closers.push(() => redis.quit());
    const kafka = createKafka('chaos', [kafkaAddr]);
    const topics = await openTopicTail(kafka, engine.topics);
    closers.push(topics.close);
    const archive = openArchivedItems(servers.databaseUrl, kafka, engine.topics);
    closers.push(archive.close);
    const producer = kafka.producer({ allowAutoTopicCreation: false });
    await producer.connect();
    closers.push(() => producer.disconnect());

    closers.push(engine.stop);
    const simulator = await engine.start('simulator');
    await setProviderRules(simulator.url);
    // No failpoint is ever set in the other gateway.
    const [worker, ingest, archiver, api, otherApi] = await Promise.all([
      engine.start('worker'),
      engine.start('ingest'),
      engine.start('archiver'),
      engine.start('api'),
      engine.start('api'),
    ]);
    const patient = createBuyers(api.url, { replyMsMax: PATIENT_MS, signal });
    const impatient = createBuyers(api.url, { replyMsMax: IMPATIENT_MS, signal });
    const atOtherApi = createBuyers(otherApi.url, { replyMsMax: PATIENT_MS, signal });
    for (const buyers of [patient, impatient, atOtherApi]) closers.push(buyers.close);
    let isIngestEager = true;
    return {
      /** Whether ingest runs orders itself. If not, the worker runs all, and passes all of its failpoints. */
      setEager: async (eager: boolean) => {
        if (eager !== isIngestEager) await ingest.restart(eager ? {} : { EAGER_ORDERS_MAX: '0' });
        isIngestEager = eager;
      },
      process: { api, ingest, worker, archiver, simulator },
      /** Another one, in the same group. */
      startArchiver: () => engine.start('archiver'),
      postgres: servers.postgres,
      /** Between the processes of this engine and PostgreSQL. */
      databaseProxy,
      archive,
      /** Of the archiver, which must be stopped. */
      forgetOffsets: async () => {
        const group = engine.env['ARCHIVER_GROUP'] ?? '';
        await withAdmin(kafka, (admin) => admin.deleteGroups([group]));
      },
      paymentUrl: engine.paymentUrl,
      taskQueue: engine.taskQueue,
      temporal,
      redis,
      ledger: createStockLedger(redis),
      topics,
      /** Appends records to a topic of the engine, past its processes. */
      append: async (topic: keyof TopicNames, messages: { key: string; value: Buffer }[]) => {
        await producer.send({ topic: engine.topics[topic], acks: -1, messages });
      },
      buyers: { patient, impatient, atOtherApi },
      signal,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function addressOf(databaseUrl: string) {
  const { hostname, port } = new URL(databaseUrl);
  return { host: hostname, port: Number(port || 5432) };
}

function through(port: number, databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.host = `${LOOPBACK}:${port}`;
  return url.href;
}

/** Sets what the payment simulator at this URL does to orders. */
export async function setProviderRules(
  simulator: string,
  rules: readonly object[] = PROVIDER_RULES,
): Promise<void> {
  const response = await fetch(`${simulator}/misbehaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ declineRate: 0, rules }),
  });
  if (response.status !== 200) throw new Error(`The simulator refuses: ${await response.text()}`);
}
