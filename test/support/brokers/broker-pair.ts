import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { createKafka } from '../../../engine/kafka/kafka-client';
import { readLog } from '../../../engine/kafka/read-log';
import { withAdmin } from '../../../engine/kafka/topics';
import { startKafka } from '../../../stack/components/kafka';
import type { Ports } from '../../../stack/settings';
import { eventually } from '../eventually';
import { createTestComponents } from '../secured/test-components';
import { startKafkaProxy, type KafkaProxy } from './kafka-proxy';

export type BrokerId = 1 | 2;

/** Two real brokers of one cluster. Each is behind a proxy and advertises the proxy's address to clients. */
export interface BrokerPair {
  readonly proxies: Readonly<Record<BrokerId, KafkaProxy>>;
  /** The address of a broker's proxy. */
  readonly addressOf: (id: BrokerId) => string;
  /** A client that bypasses the proxies, for the test itself. */
  readonly direct: Kafka;
  /** Creates a topic with one unreplicated partition per named broker, led by it. */
  readonly topicLedBy: (...leaders: readonly BrokerId[]) => Promise<string>;
  /** Returns once the broker leads the partition. */
  readonly moveLeader: (topic: string, partition: number, to: BrokerId) => Promise<void>;
  /** The values of a topic, each under `partition@offset`. */
  readonly read: (topic: string) => Promise<ReadonlyMap<string, string>>;
  readonly stop: () => Promise<void>;
}

export async function startBrokerPair(): Promise<BrokerPair> {
  const [first, second] = await Promise.all([
    createTestComponents('broker-1'),
    createTestComponents('broker-2'),
  ]);
  const portsOf = { 1: first.context.settings.ports, 2: second.context.settings.ports };
  const proxies = {
    1: await startKafkaProxy(() => viaPort(portsOf[1])),
    2: await startKafkaProxy(() => viaPort(portsOf[2])),
  };
  const start = (own: typeof first, id: BrokerId) =>
    startKafka(own.context, {
      properties: propertiesOf(id, { portsOf, proxyPort: proxies[id].port }),
      formatArgs: [],
      accessTo: (address) => ({ addrs: [address] }),
    });
  const [{ address }] = await Promise.all([start(first, 1), start(second, 2)]);
  const direct = createKafka('test', [address]);
  return {
    proxies,
    direct,
    addressOf: (id) => `127.0.0.1:${String(proxies[id].port)}`,
    topicLedBy: (...leaders) => createTopic(direct, leaders),
    moveLeader: (topic, partition, to) => moveLeader(direct, { topic, partition, to }),
    read: async (topic) => {
      const found = new Map<string, string>();
      await readLog(direct, topic, { fromOffset: '0', msMax: 20_000 }, (record) => {
        found.set(`${String(record.partition)}@${record.offset}`, String(record.value));
      });
      return found;
    },
    stop: async () => {
      await Promise.all(Object.values(proxies).map((proxy) => proxy.close()));
      // The second broker stops first: it has no controller and would wait for that of the first.
      await second.stop();
      await first.stop();
    },
  };
}

/** The port on which a broker listens for its proxy. It is the port reserved for a Redis, which is not started here. */
const viaPort = (ports: Ports) => ports.redis;

/** The first broker is also the controller. */
function propertiesOf(
  id: BrokerId,
  { portsOf, proxyPort }: { portsOf: Record<BrokerId, Ports>; proxyPort: number },
): Record<string, string> {
  const ports = portsOf[id];
  const controller = `127.0.0.1:${String(portsOf[1].kafkaController)}`;
  const inner = `PLAINTEXT://127.0.0.1:${String(ports.kafka)}`;
  const listeners = [inner, `VIA://127.0.0.1:${String(viaPort(ports))}`];
  return {
    'process.roles': id === 1 ? 'broker,controller' : 'broker',
    'node.id': String(id),
    'controller.quorum.voters': `1@${controller}`,
    listeners: [...listeners, ...(id === 1 ? [`CONTROLLER://${controller}`] : [])].join(','),
    'advertised.listeners': `${inner},VIA://127.0.0.1:${String(proxyPort)}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,VIA:PLAINTEXT,CONTROLLER:PLAINTEXT',
    // Otherwise Kafka moves a moved leader back.
    'auto.leader.rebalance.enable': 'false',
  };
}

async function createTopic(direct: Kafka, leaders: readonly BrokerId[]): Promise<string> {
  const topic = `test-${randomUUID().slice(0, 8)}`;
  const replicaAssignment = leaders.map((id, partition) => ({ partition, replicas: [id] }));
  await withAdmin(direct, async (admin) => {
    await admin.createTopics({ topics: [{ topic, replicaAssignment }] });
  });
  for (const [partition, id] of leaders.entries()) await untilLeads(direct, topic, partition, id);
  return topic;
}

async function moveLeader(
  direct: Kafka,
  { topic, partition, to }: { topic: string; partition: number; to: BrokerId },
): Promise<void> {
  const partitionAssignment = [{ partition, replicas: [to] }];
  await withAdmin(direct, (admin) =>
    admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] }),
  );
  await untilLeads(direct, topic, partition, to);
}

async function untilLeads(direct: Kafka, topic: string, partition: number, id: BrokerId) {
  await eventually(`broker ${String(id)} leads ${topic}/${String(partition)}`, () =>
    withAdmin(direct, async (admin) => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition);
      return found?.leader === id && found.replicas.length === 1;
    }),
  );
}
