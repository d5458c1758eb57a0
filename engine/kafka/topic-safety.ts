import { ConfigResourceTypes, KafkaJSProtocolError, type Admin, type Kafka } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { withAdmin } from './topics';

/** What a broker says of a topic. A setting that it does not know is absent: its own replication then decides. */
export interface TopicSettings {
  readonly partitions: number;
  /** Of the partition with the fewest. */
  readonly replicas: number;
  readonly minInsyncReplicas?: number;
  readonly uncleanLeaderElection?: boolean;
}

/**
 * Looks at a topic before a process relies on it, and gives its number of partitions. Settings under which an
 * acknowledged record can be lost with one broker are a warning, or in production an error. Throws, too, when the topic
 * does not exist or Kafka does not answer; settings that it does not show are a warning.
 */
export async function checkTopic(
  kafka: Kafka,
  topic: string,
  { production, logger }: { readonly production: boolean; readonly logger: Logger },
): Promise<number> {
  const settings = await withAdmin(kafka, async (admin) => ({
    ...(await describePartitions(admin, topic)),
    ...(await describeSettings(admin, topic).catch((error: unknown) => {
      logger.warn({ err: error, topic }, 'Kafka does not show how it keeps the topic: see to it');
      return {};
    })),
  }));
  const weaker = weaknesses(settings);
  if (weaker.length > 0 && production) {
    throw new Error(`Kafka keeps the topic ${topic} too loosely: ${weaker.join('; ')}`);
  }
  if (weaker.length > 0) logger.warn({ topic, weaker }, 'Kafka keeps the topic loosely');
  return settings.partitions;
}

/** What can be lost under these settings, and why; nothing when one broker may fail. */
export function weaknesses(settings: TopicSettings): string[] {
  const { replicas, minInsyncReplicas = 2, uncleanLeaderElection = false } = settings;
  return [
    ...(replicas < 2
      ? [`its replication factor is ${replicas}, not 3: with its broker every order in it is lost`]
      : []),
    ...(minInsyncReplicas < 2
      ? [
          `min.insync.replicas is ${minInsyncReplicas}, not 2: an order that only one broker has is acknowledged`,
        ]
      : []),
    ...(uncleanLeaderElection
      ? ['unclean.leader.election.enable is true: a broker that missed orders may take over']
      : []),
  ];
}

async function describePartitions(admin: Admin, topic: string) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] }).catch((cause: unknown) => {
    if (!(cause instanceof KafkaJSProtocolError) || cause.type !== UNKNOWN_TOPIC) throw cause;
    throw new Error(`Kafka has no topic ${topic}`, { cause });
  });
  const partitions = topics.find(({ name }) => name === topic)?.partitions ?? [];
  const replicas = Math.min(...partitions.map((partition) => partition.replicas.length));
  return { partitions: partitions.length, replicas };
}

async function describeSettings(admin: Admin, topic: string) {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: SETTINGS }],
  });
  const entries = resources.flatMap(({ configEntries }) => configEntries);
  const find = (name: string) => entries.find(({ configName }) => configName === name)?.configValue;
  const [minInsync, unclean] = SETTINGS.map(find);
  return {
    ...(minInsync !== undefined && { minInsyncReplicas: Number(minInsync) }),
    ...(unclean !== undefined && { uncleanLeaderElection: unclean === 'true' }),
  };
}

const UNKNOWN_TOPIC = 'UNKNOWN_TOPIC_OR_PARTITION';

const SETTINGS = ['min.insync.replicas', 'unclean.leader.election.enable'];
