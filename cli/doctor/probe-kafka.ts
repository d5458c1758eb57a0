import type { Admin } from 'kafkajs';
import { addressesOf, createKafka } from '../../engine/kafka/kafka-client';
import { ORDERS_PARTITIONS, withAdmin } from '../../engine/kafka/topics';
import type { KafkaAccess } from '../../platform/config/access';
import type { Finding } from './check';

export interface KafkaNames {
  readonly ordersTopic: string;
  readonly deadLetterTopic: string;
  readonly consumerGroup: string;
}

/** Whether Kafka answers, has the topics, and somebody reads the orders. Throws when it does not answer. */
export async function probeKafka(
  access: KafkaAccess,
  { ordersTopic, deadLetterTopic, consumerGroup }: KafkaNames,
): Promise<Finding[]> {
  const kafka = createKafka('flash-sale-doctor', access);
  const kafkaAddrs = addressesOf(access);
  return withAdmin(kafka, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const missing = [ordersTopic, deadLetterTopic].filter((topic) => !existing.has(topic));
    if (missing.length > 0) {
      const remedy = `npm start makes them; elsewhere: kafka-topics.sh --create --topic NAME --partitions N, with ${ORDERS_PARTITIONS} partitions for ${ordersTopic} and 1 for ${deadLetterTopic}`;
      const detail = `${kafkaAddrs}, without ${missing.join(' and ')}`;
      return [{ name: 'Kafka', state: 'missing', detail, remedy }];
    }
    const topics = await describeTopics(admin, [ordersTopic, deadLetterTopic]);
    const detail = `${kafkaAddrs}, ${topics.text}`;
    const broker: Finding = topics.hasLeaders
      ? { name: 'Kafka', state: 'ok', detail }
      : { name: 'Kafka', state: 'missing', detail, remedy: 'bring the brokers of these topics up' };
    return [broker, await findReaders(admin, consumerGroup)];
  });
}

async function describeTopics(admin: Admin, names: string[]) {
  const { topics } = await admin.fetchTopicMetadata({ topics: names });
  const parts = topics.map(({ name, partitions }) => {
    const leaderless = partitions.filter(({ leader }) => leader < 0).length;
    const text = `${name} ×${partitions.length}`;
    return { leaderless, text: leaderless > 0 ? `${text}, ${leaderless} without a leader` : text };
  });
  const hasLeaders = parts.every(({ leaderless }) => leaderless === 0);
  return { hasLeaders, text: `partitions: ${parts.map(({ text }) => text).join(', ')}` };
}

async function findReaders(admin: Admin, groupId: string): Promise<Finding> {
  const { groups } = await admin.describeGroups([groupId]);
  const members = groups.find((group) => group.groupId === groupId)?.members.length ?? 0;
  const name = 'ingest';
  if (members > 0) return { name, state: 'ok', detail: `${members} in consumer group ${groupId}` };
  const remedy = 'accepted orders wait until an ingest process runs: npm start';
  return { name, state: 'missing', detail: `nobody in consumer group ${groupId}`, remedy };
}
