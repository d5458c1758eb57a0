import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';
import type { KafkaAccess } from '../../platform/config/access';
import type { Logger } from '../../platform/logger';
import { createKafka } from './kafka-client';
import { within } from './within';

/** Orders spread over six: on small machines twelve only halve the batches. More brokers carry more. */
export const ORDERS_PARTITIONS = 6;

/** Dead letters are few, and one partition keeps them in one order with plain offsets. */
export const DEAD_LETTER_PARTITIONS = 1;

/** A dead letter carries a whole record plus the reason in its headers, and so must be allowed to be larger than any record. */
const DEAD_LETTER_BYTES_MAX = 2 * 1024 * 1024;

export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** The two topics of the engine under their configured names. */
export function saleTopics(
  names = { ordersTopic: 'orders', deadLetterTopic: 'orders-dlq' },
): readonly TopicSpec[] {
  return [
    { topic: names.ordersTopic, partitions: ORDERS_PARTITIONS },
    {
      topic: names.deadLetterTopic,
      partitions: DEAD_LETTER_PARTITIONS,
      // Kept until somebody deletes it: a failed order that nobody has looked at yet must not fade away.
      config: { 'max.message.bytes': String(DEAD_LETTER_BYTES_MAX), 'retention.ms': '-1' },
    },
  ];
}

/** A fresh broker is ready within seconds; a machine that is short of CPU has taken half a minute. */
const READY_MS_MAX = 60_000;
/** One try includes connecting, creating and waiting for leaders. */
const TRY_MS_MAX = 10_000;
const RETRY_DELAY_MS = 300;

/**
 * Creates the topics that are missing and returns once each has a leader for every partition. Topics that exist stay as
 * they are: more partitions would move keys. Throws, with the last fault as cause, when Kafka is not ready in `readyMsMax`.
 */
export async function ensureTopics(
  kafkaAccess: KafkaAccess | readonly string[],
  topics: readonly TopicSpec[] = saleTopics(),
  { readyMsMax = READY_MS_MAX, logger }: { readyMsMax?: number; logger?: Logger } = {},
): Promise<void> {
  const deadline = Date.now() + readyMsMax;
  for (;;) {
    try {
      // A client of its own for each try: one that met a half-started broker has been seen to hang for good.
      const kafka = createKafka('flash-sale-topics', kafkaAccess, logger);
      const tryMsMax = Math.min(TRY_MS_MAX, deadline - Date.now());
      await withAdmin(kafka, (admin) => createMissing(admin, topics), tryMsMax);
      return;
    } catch (error) {
      if (Date.now() + RETRY_DELAY_MS >= deadline) {
        const names = topics.map(({ topic }) => topic).join(', ');
        throw new Error(`Kafka has not made ${names} ready in ${readyMsMax} ms`, { cause: error });
      }
      await sleep(RETRY_DELAY_MS);
    }
  }
}

/** How many partitions a topic has. Throws when it does not exist or Kafka does not answer. */
export async function partitionCount(kafka: Kafka, topic: string): Promise<number> {
  return withAdmin(kafka, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    const found = topics.find(({ name }) => name === topic);
    if (!found || found.partitions.length === 0) throw new Error(`Kafka has no topic ${topic}`);
    return found.partitions.length;
  });
}

/** Runs `use` with a connected admin client, bounded in time, and closes the client in every case. */
export async function withAdmin<T>(
  kafka: Kafka,
  use: (admin: Admin) => Promise<T>,
  msMax: number = TRY_MS_MAX,
): Promise<T> {
  const admin = kafka.admin({ retry: { retries: 2 } });
  try {
    return await within(
      admin.connect().then(() => use(admin)),
      msMax,
      "Kafka's admin client",
    );
  } finally {
    await within(admin.disconnect(), msMax, "closing Kafka's admin client");
  }
}

async function createMissing(admin: Admin, topics: readonly TopicSpec[]): Promise<void> {
  const existing = new Set(await admin.listTopics());
  for (const { topic, partitions, config = {} } of topics) {
    if (existing.has(topic)) continue;
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    // Answers false when another process was faster, which is just as well.
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
  }
  const described = await admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) });
  for (const { name, partitions } of described.topics) {
    const orphan = partitions.find(({ leader }) => leader < 0);
    if (partitions.length === 0 || orphan) throw new Error(`Topic ${name} has no leader yet`);
  }
}
