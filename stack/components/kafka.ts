import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createKafka, createProducer } from '../../engine/kafka/kafka-client';
import { ensureTopics, saleTopics, withAdmin } from '../../engine/kafka/topics';
import type { Component, Context } from '../ground/context';
import { givenAccess } from '../ground/given';
import { loadKafkaAccess } from '../../platform/config';
import type { KafkaAccess } from '../../platform/config/access';
import { LOOPBACK } from '../../platform/machine';
import { runToEnd } from '../processes/run-to-end';
import { untilAborted } from '../../platform/until';
import type { StackSettings } from '../ground/settings';
import { findJava } from './java';
import { findKafkaJars, requireMaven } from './kafka-jars';
import { UserError, describeError } from '../../platform/user-error';

/** A broker is ready in 3 to 9 s on a small machine that does nothing else. */
const READY_MS_MAX = 120_000;
/** A Kafka given from outside runs already. */
const GIVEN_MS_MAX = 10_000;
const ROUND_TRIP_MS_MAX = 5_000;
const STOP_MS_MAX = 10_000;

/** Where the produce half of the readiness check writes; nobody reads it. */
const READINESS_TOPIC = 'flash-sale-readiness';

/** How a broker of ours differs from the plain one. */
export interface BrokerVariant {
  /** Over the plain broker's settings. */
  readonly properties: Readonly<Record<string, string>>;
  /** What its storage is prepared with, such as users. */
  readonly formatArgs: readonly string[];
  readonly accessTo: (address: string) => KafkaAccess;
}

/** Kafka, given by KAFKA_ADDR or started as one node that is broker and controller, and with the sale's topics. */
export async function startKafka(context: Context, variant?: BrokerVariant): Promise<Component> {
  const { settings, signal } = context;
  const topics = saleTopics(settings);
  const given = settings.kafkaAddr;
  if (given !== undefined) {
    const access = givenAccess(loadKafkaAccess, settings);
    await ensureTopics(access, topics, { readyMsMax: GIVEN_MS_MAX }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new UserError(
        `KAFKA_ADDR is ${given}, but no Kafka there answers and has, or lets us create, the topics (${describeError(error)}).`,
      );
    });
    return { address: given, origin: 'KAFKA_ADDR' };
  }

  requireMaven(context);
  const java = await findJava(context);
  const { libs, origin } = await findKafkaJars(context, java);
  const dir = join(settings.dataDir, 'kafka');
  const files = writeSettings(settings, dir, variant);
  const jvm = (...args: string[]) => ({
    command: java,
    args: [...JVM_OPTIONS, `-Dlog4j2.configurationFile=${files.logging}`, ...args],
    env: settings.env,
    cwd: dir,
    logFile: join(settings.dataDir, 'kafka.log'),
  });
  const classPath = join(libs, '*');
  if (!existsSync(join(dir, 'data', 'meta.properties'))) {
    const format = ['format', '--cluster-id', CLUSTER_ID, '--config', files.server].concat(
      variant?.formatArgs ?? [],
    );
    await runToEnd(
      settings.root,
      jvm('-cp', classPath, 'kafka.tools.StorageTool', ...format),
      signal,
    );
  }
  const address = `${LOOPBACK}:${settings.ports.kafka}`;
  const access = variant?.accessTo(address) ?? { addrs: [address] };
  await context.run({
    ...jvm('-Xms256m', '-Xmx512m', '-cp', classPath, 'kafka.Kafka', files.server),
    name: 'kafka',
    probe: () => untilAborted(roundTrip(access), AbortSignal.timeout(ROUND_TRIP_MS_MAX)),
    readyMsMax: READY_MS_MAX,
    startTriesMax: 1,
    stopMsMax: STOP_MS_MAX,
  });
  await ensureTopics(access, topics);
  return { address, origin };
}

/** An open port is not yet a broker that takes records. A client of its own for each try: a used one can hang. */
async function roundTrip(access: KafkaAccess): Promise<void> {
  const kafka = createKafka('flash-sale-stack', access);
  await withAdmin(kafka, async (admin) => {
    const known = await admin.listTopics();
    if (!known.includes(READINESS_TOPIC)) {
      await admin.createTopics({ topics: [{ topic: READINESS_TOPIC, numPartitions: 1 }] });
    }
  });
  const producer = createProducer(kafka);
  await producer.connect();
  try {
    await producer.send({ topic: READINESS_TOPIC, messages: [{ value: 'ready?' }] });
  } finally {
    await producer.disconnect();
  }
}

/** Any will do: a node of its own on loopback is never mistaken for another. */
const CLUSTER_ID = 'Zmxhc2gtc2FsZS1zdGFjaw';

/** For a short life on a small machine: start soon, stay small. */
const JVM_OPTIONS = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

function writeSettings(
  { ports }: StackSettings,
  dir: string,
  variant?: BrokerVariant,
): { server: string; logging: string } {
  mkdirSync(dir, { recursive: true });
  const server = join(dir, 'server.properties');
  const logging = join(dir, 'log4j2.properties');
  const properties: Readonly<Record<string, string | number>> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@${LOOPBACK}:${ports.kafkaController}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://${LOOPBACK}:${ports.kafka},CONTROLLER://${LOOPBACK}:${ports.kafkaController}`,
    'advertised.listeners': `PLAINTEXT://${LOOPBACK}:${ports.kafka}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': join(dir, 'data'),
    // A topic that appears because its name was misspelt would swallow orders.
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // One consumer does not wait for others to join it.
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 1,
    'num.io.threads': 2,
    'log.cleaner.dedupe.buffer.size': 2_097_152,
    ...variant?.properties,
  };
  writeFileSync(server, lines(properties));
  writeFileSync(
    logging,
    lines({
      status: 'error',
      'appender.out.type': 'Console',
      'appender.out.name': 'out',
      'appender.out.layout.type': 'PatternLayout',
      'appender.out.layout.pattern': '[%d] %p %m (%c{1})%n',
      'rootLogger.level': 'warn',
      'rootLogger.appenderRef.out.ref': 'out',
    }),
  );
  return { server, logging };
}

function lines(properties: Readonly<Record<string, string | number>>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
