import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { Redis } from 'ioredis';
import type { Order } from '../../../engine/orders/order';
import { encodeOrder } from '../../../engine/orders/order-record';
import { createKafka } from '../../../engine/kafka/kafka-client';
import { ensureTopics, saleTopics } from '../../../engine/kafka/topics';
import type { Env } from '../../../platform/config';
import type { EngineName } from '../../../stack/engine';
import { startEngineProcess, type EngineProcess } from '../../../stack/engine-process';
import { freePorts } from '../../../stack/ground/ports';
import { createStockLedger } from '../../../engine/stock/redis-stock-ledger';
import type { StockLedger } from '../../../engine/stock/stock-ledger';
import { createBuyers, type Buyers } from '../sale/buyer';
import { PROVIDER_RULES } from '../sale/wishes';
import { openLogTap, type LogTap } from './log-tap';

/** Where the real systems of the run are; the lanes share them. */
export interface Ground {
  readonly root: string;
  /** Host:port each. */
  readonly redisAddr: string;
  readonly kafkaAddr: string;
  readonly temporal: Client;
  readonly temporalAddress: string;
  /** For the logs of the processes and the provider's ledger. */
  readonly dataDir: string;
  readonly env: Env;
  readonly signal: AbortSignal;
}

type LaneProcess = EngineName | 'rival';

/** An engine of its own, topics and task queue included, on which one case at a time is run. */
export interface Lane {
  readonly name: string;
  /** `rival` is a second gateway, which no failpoint is ever set in. */
  readonly process: Readonly<Record<LaneProcess, EngineProcess>>;
  readonly taskQueue: string;
  readonly temporal: Client;
  readonly redis: Redis;
  readonly ledger: StockLedger;
  readonly tap: LogTap;
  /** Puts an order into the log past every gateway. */
  readonly appender: (order: Order) => Promise<void>;
  readonly buyers: Buyers;
  readonly signal: AbortSignal;
  readonly close: () => Promise<void>;
}

/** Starts a lane. Whatever goes wrong, nothing that was started stays behind. */
export async function openLane(ground: Ground): Promise<Lane> {
  const { root, redisAddr, kafkaAddr, signal, temporal } = ground;
  const name = `chaos-${randomUUID().slice(0, 8)}`;
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const one of closers.reverse()) await one();
  };
  try {
    const topics = { ordersTopic: `orders-${name}`, deadLetterTopic: `orders-dlq-${name}` };
    await ensureTopics([kafkaAddr], saleTopics(topics));
    const redis = new Redis(`redis://${redisAddr}`);
    closers.push(() => redis.quit());
    const tap = await openLogTap(createKafka('chaos', [kafkaAddr]), topics);
    closers.push(tap.close);
    const producer = createKafka('chaos', [kafkaAddr]).producer({ allowAutoTopicCreation: false });
    await producer.connect();
    closers.push(() => producer.disconnect());
    const buyers = createBuyers(signal);
    closers.push(buyers.close);

    const started: EngineProcess[] = [];
    closers.push(() => Promise.all(started.map((one) => one.stop())));
    const ports = { ...(await freePorts()), rival: (await freePorts()).gateway };
    const env = laneEnv(ground, name, topics, ports.payment);
    const start = async (part: LaneProcess, port: number) => {
      const logFile = join(ground.dataDir, name, `${part}.log`);
      const engineName = part === 'rival' ? 'api' : part;
      const one = await startEngineProcess(root, engineName, { port, env, logFile, signal });
      started.push(one);
      return one;
    };
    const simulator = await start('simulator', ports.payment);
    await misbehave(simulator.url);
    const all = await Promise.allSettled([
      start('worker', ports.worker),
      start('ingest', ports.ingest),
      start('api', ports.gateway),
      start('rival', ports.rival),
    ]);
    const [worker, ingest, api, rival] = all.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    }) as [EngineProcess, EngineProcess, EngineProcess, EngineProcess];
    return {
      ...{ name, temporal, redis, tap, buyers, signal, close },
      appender: async (order) => {
        const record = { key: order.requestId, value: encodeOrder(order) };
        await producer.send({ topic: topics.ordersTopic, acks: -1, messages: [record] });
      },
      taskQueue: name,
      ledger: createStockLedger(redis),
      process: { simulator, worker, ingest, api, rival },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function laneEnv(
  { env, redisAddr, kafkaAddr, temporalAddress, dataDir }: Ground,
  name: string,
  topics: { ordersTopic: string; deadLetterTopic: string },
  paymentPort: number,
): Env {
  return {
    ...env,
    REDIS_ADDR: redisAddr,
    KAFKA_ADDR: kafkaAddr,
    TEMPORAL_ADDRESS: temporalAddress,
    PAYMENT_URL: `http://127.0.0.1:${String(paymentPort)}`,
    PAYMENT_LEDGER_FILE: join(dataDir, name, 'payments.jsonl'),
    // Who is declined stands in the request_id.
    PAYMENT_DECLINE_RATE: '0',
    ORDERS_TOPIC: topics.ordersTopic,
    DLQ_TOPIC: topics.deadLetterTopic,
    CONSUMER_GROUP: `ingest-${name}`,
    TASK_QUEUE: name,
    // The count of open orders is the namespace's, and the lanes share it.
    OPEN_ORDERS_MAX: '2000',
  };
}

async function misbehave(simulator: string): Promise<void> {
  const response = await fetch(`${simulator}/misbehaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ declineRate: 0, rules: PROVIDER_RULES }),
  });
  if (response.status !== 200) throw new Error(`The simulator refuses: ${await response.text()}`);
}
