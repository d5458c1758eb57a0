import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigResourceTypes, KafkaJSProtocolError, type Admin, type Kafka } from 'kafkajs';
import type { KafkaAccess } from '../../platform/config/access';
import { createRepeatFilter, type Logger } from '../../platform/logger';
import { within } from '../../platform/until';
import { describeError, errorCode, UserError } from '../../platform/user-error';
import { createKafka } from './kafka-client';

/** On small machines twelve only halve the batches. More brokers can use more. */
export const ORDERS_PARTITIONS = 6;

/** Dead letters are few, and one partition keeps them in one order with plain offsets. */
export const DEAD_LETTER_PARTITIONS = 1;

/** Larger than any record of the orders: a dead letter holds such a record and the reason in its headers. */
const DEAD_LETTER_BYTES_MAX = 2 * 1024 * 1024;

/** As few as dead letters, with one key an order. */
export const CANCELLATIONS_PARTITIONS = 1;

/** One order for all that operators do, whichever item it is about. */
export const OPERATOR_ACTIONS_PARTITIONS = 1;

/** As many as there are for orders. All events of an order are in one of them. */
export const ORDER_EVENTS_PARTITIONS = 6;

/**
 * The archive catches up by them after its process or its database was away, and after a restore of a backup: a backup
 * that is older misses orders. Not without end, because the events hold user_ids.
 */
const ORDER_EVENTS_RETENTION_MS = 30 * 24 * 3_600_000;

interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  readonly config?: Readonly<Record<string, string>>;
}

/** The names of the engine's topics. */
export interface TopicNames {
  readonly ordersTopic: string;
  readonly deadLetterTopic: string;
  readonly cancellationsTopic: string;
  readonly operatorActionsTopic: string;
  readonly orderEventsTopic: string;
}

const STANDARD_NAMES: TopicNames = {
  ordersTopic: 'orders',
  deadLetterTopic: 'orders-dlq',
  cancellationsTopic: 'orders-cancelled',
  operatorActionsTopic: 'operator-actions',
  orderEventsTopic: 'order-events',
};

/** The topics of the engine under their configured names. */
export function saleTopics(names: TopicNames = STANDARD_NAMES): readonly TopicSpec[] {
  return [
    { topic: names.ordersTopic, partitions: ORDERS_PARTITIONS },
    {
      topic: names.deadLetterTopic,
      partitions: DEAD_LETTER_PARTITIONS,
      // No retention: a failed order must not disappear before an operator has looked at it.
      config: { 'max.message.bytes': String(DEAD_LETTER_BYTES_MAX), 'retention.ms': '-1' },
    },
    // The retention is the broker's, as that of the orders: a cancellation is newer than the record of its order, and must
    // outlive it.
    { topic: names.cancellationsTopic, partitions: CANCELLATIONS_PARTITIONS },
    // Without retention as well, and in a topic of its own, from which a busy sale pushes nothing out.
    {
      topic: names.operatorActionsTopic,
      partitions: OPERATOR_ACTIONS_PARTITIONS,
      config: { 'retention.ms': '-1' },
    },
    {
      topic: names.orderEventsTopic,
      partitions: ORDER_EVENTS_PARTITIONS,
      config: { 'retention.ms': String(ORDER_EVENTS_RETENTION_MS) },
    },
  ];
}

/** A new broker is ready within seconds; on a machine short of CPU it has taken half a minute. */
const READY_MS_MAX = 60_000;
/** For connecting, creating and waiting for leaders. */
const TRY_MS_MAX = 10_000;
const RETRY_DELAY_MS = 300;

/**
 * Creates missing topics and returns once every partition has a leader. Existing topics stay as they are: more
 * partitions would move keys. Throws, with the last error as cause, when Kafka is not ready in `readyMsMax`.
 */
export async function ensureTopics(
  kafkaAccess: KafkaAccess | readonly string[],
  topics: readonly TopicSpec[] = saleTopics(),
  { readyMsMax = READY_MS_MAX, logger }: { readyMsMax?: number; logger?: Logger } = {},
): Promise<void> {
  const deadline = Date.now() + readyMsMax;
  for (;;) {
    try {
      // A new client for each try: one that met a half-started broker has been seen to hang for ever.
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

async function createMissing(admin: Admin, topics: readonly TopicSpec[]): Promise<void> {
  const existing = new Set(await admin.listTopics());
  for (const { topic, partitions, config = {} } of topics) {
    if (existing.has(topic)) continue;
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    // Returns false when another process was faster.
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
  }
  const described = await admin.fetchTopicMetadata({ topics: topics.map(({ topic }) => topic) });
  for (const { name, partitions } of described.topics) {
    const orphan = partitions.find(({ leader }) => leader < 0);
    if (partitions.length === 0 || orphan) throw new Error(`Topic ${name} has no leader yet`);
  }
}

/**
 * Runs `use` with a connected admin client, bounded in time, and always closes the client. Throws a UserError when Kafka
 * does not let this process in.
 */
export async function withAdmin<T>(
  kafka: Kafka,
  use: (admin: Admin) => Promise<T>,
  msMax: number = TRY_MS_MAX,
): Promise<T> {
  const admin = kafka.admin({ retry: { retries: 2 } });
  try {
    const used = admin.connect().then(() => use(admin));
    return await within(used, msMax, "Kafka's admin client");
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new UserError(`Kafka refuses this process: ${describeError(error)}`, { cause: error });
  } finally {
    await within(admin.disconnect(), msMax, "closing Kafka's admin client");
  }
}

/** The number of partitions of a topic. Throws when the topic does not exist or Kafka does not answer. */
export async function partitionCount(kafka: Kafka, topic: string): Promise<number> {
  const { partitions } = await withAdmin(kafka, (admin) => describePartitions(admin, topic));
  return partitions;
}

/** A process that waits for one topic checks the others again and again. */
const isNews = createRepeatFilter();

/**
 * Checks a topic before a process relies on it and returns its number of partitions. Settings that can lose an
 * acknowledged record with one broker are a warning, in production a UserError; settings that Kafka does not show are a
 * warning. Throws when the topic does not exist or Kafka does not answer.
 */
export async function checkTopic(
  kafka: Kafka,
  topic: string,
  { production, logger }: { readonly production: boolean; readonly logger: Logger },
): Promise<number> {
  const settings: TopicSettings = await withAdmin(kafka, async (admin) => ({
    ...(await describePartitions(admin, topic)),
    ...(await describeSettings(admin, topic).catch((error: unknown) => {
      if (isNews(`${topic} is not shown`)) {
        logger.warn(
          { err: error, topic },
          'Kafka does not show the settings of the topic: check it',
        );
      }
      return {};
    })),
  }));
  const weaker = weaknesses(settings);
  if (weaker.length > 0 && production) {
    throw new UserError(`Kafka keeps the topic ${topic} too loosely: ${weaker.join('; ')}`);
  }
  if (weaker.length > 0 && isNews(`${topic} ${weaker.join()}`)) {
    logger.warn({ topic, weaker }, 'Kafka can lose records of the topic');
  }
  return settings.partitions;
}

/**
 * Which of these topics may have dropped records before they are this old: a sentence each. Throws when Kafka does not
 * answer or does not show its settings.
 */
export async function findShortRetention(
  kafka: Kafka,
  topics: readonly string[],
  ageMs: number,
): Promise<string[]> {
  const resources = topics.map((name) => ({
    type: ConfigResourceTypes.TOPIC,
    name,
    configNames: ['retention.ms', 'retention.bytes'],
  }));
  const described = await withAdmin(kafka, (admin) =>
    admin.describeConfigs({ includeSynonyms: false, resources }),
  );
  return described.resources.flatMap(({ resourceName, configEntries }) => {
    const valueOf = (name: string) =>
      Number(configEntries.find(({ configName }) => configName === name)?.configValue ?? -1);
    const [ms, bytes] = [valueOf('retention.ms'), valueOf('retention.bytes')];
    if (ms >= 0 && ms < ageMs)
      return [`${resourceName}: retention.ms is ${ms}, less than ${ageMs}`];
    return bytes >= 0 ? [`${resourceName}: retention.bytes is ${bytes}, not -1`] : [];
  });
}

/** Whether a broker does not let this process in: wrong credentials, or certificates that do not match. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { name, cause } = error;
  const code = errorCode(error);
  if (name === 'KafkaJSSASLAuthenticationError') return true;
  return (typeof code === 'string' && /CERT|SIGNATURE/.test(code)) || isRefusal(cause);
}

/** An absent setting is one that the broker does not know: its replication has other rules then. */
interface TopicSettings {
  readonly partitions: number;
  /** Of the partition with the fewest. */
  readonly replicas: number;
  readonly minInsyncReplicas?: number | undefined;
  readonly uncleanLeaderElection?: boolean | undefined;
}

/** What can be lost with one broker under these settings, and why. */
export function weaknesses(settings: TopicSettings): string[] {
  const { replicas, minInsyncReplicas = 2, uncleanLeaderElection = false } = settings;
  const found: string[] = [];
  if (replicas < 2) {
    found.push(`its replication factor is ${replicas}, not 3: with its broker every order is lost`);
  }
  if (minInsyncReplicas < 2) {
    found.push(
      `min.insync.replicas is ${minInsyncReplicas}, not 2: an order that only one broker has is acknowledged`,
    );
  }
  if (uncleanLeaderElection) {
    found.push('unclean.leader.election.enable is true: a broker that missed orders may lead');
  }
  return found;
}

async function describePartitions(admin: Admin, topic: string) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] }).catch((cause: unknown) => {
    if (!(cause instanceof KafkaJSProtocolError) || cause.type !== UNKNOWN_TOPIC) throw cause;
    throw new Error(`Kafka has no topic ${topic}`, { cause });
  });
  const partitions = topics.find(({ name }) => name === topic)?.partitions ?? [];
  if (partitions.length === 0) throw new Error(`Kafka has no topic ${topic}`);
  const replicas = Math.min(...partitions.map((partition) => partition.replicas.length));
  return { partitions: partitions.length, replicas };
}

const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION';

async function describeSettings(admin: Admin, topic: string) {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: SETTINGS }],
  });
  const entries = resources.flatMap(({ configEntries }) => configEntries);
  const [minInsync, unclean] = SETTINGS.map(
    (name) => entries.find(({ configName }) => configName === name)?.configValue,
  );
  return {
    minInsyncReplicas: minInsync === undefined ? undefined : Number(minInsync),
    uncleanLeaderElection: unclean === undefined ? undefined : unclean === 'true',
  };
}

const SETTINGS = ['min.insync.replicas', 'unclean.leader.election.enable'];
