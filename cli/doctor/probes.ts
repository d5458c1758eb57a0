import { Type } from '@sinclair/typebox';
import { isGrpcServiceError, type Connection } from '@temporalio/client';
import { Cluster, type Redis } from 'ioredis';
import type { Admin } from 'kafkajs';
import { createHttpClient, parseJson } from '../../client/http-client';
import { openArchive } from '../../engine/archive/database';
import { checkArchive } from '../../engine/archive/migrate';
import { addressesOf, createKafka } from '../../engine/kafka/kafka-client';
import { saleTopics, withAdmin, type TopicNames } from '../../engine/kafka/topics';
import { SEARCH_ATTRIBUTES } from '../../engine/orders/contract';
import {
  databaseAddress,
  isLocalHost,
  type DatabaseAccess,
  type KafkaAccess,
  type RedisAccess,
  type TemporalAccess,
} from '../../platform/config/access';
import { createLogger } from '../../platform/logger';
import { closeDatabasePool, createDatabasePool, pingDatabase } from '../../platform/postgres';
import { DURABLE_SETTINGS, findWeakerSettings } from '../../platform/redis';
import { withTemporalConnection } from '../../platform/temporal-client';
import { describeError } from '../../platform/user-error';
import { withRedis } from '../context';
import type { Finding } from './machine';

const REPLY_MS_MAX = 5_000;

const ReadyReport = Type.Object({
  dependencies: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});

/** Whether the gateway is ready and sells, by its own report. Throws when no gateway answers. */
export async function probeGateway(url: string): Promise<Finding[]> {
  const { status, text } = await getOnce(url, '/readyz');
  const { dependencies = {} } = parseJson(ReadyReport, text);
  const away = Object.keys(dependencies).filter((name) => dependencies[name] !== true);
  const name = 'gateway';
  if (status === 200 && away.length === 0) return [{ name, state: 'ok', detail: `${url}, ready` }];
  const why = away.length > 0 ? `waits for ${away.join(', ')}` : 'closing';
  const standing = status === 200 ? 'ready for reads only' : 'not ready';
  const remedy = 'buyers get 503 until what it waits for is back';
  return [{ name, state: 'missing', detail: `${url}, ${standing}: ${why}`, remedy }];
}

/** Whether the gateway's admin listener is alive. Throws when it does not answer. */
export function probeAdmin(url: string): Promise<Finding[]> {
  const remedy = "check that FLASH_SALE_ADMIN_URL is the gateway's admin listener";
  return probeAlive('gateway for operators', url, remedy);
}

/** Whether the payment simulator is alive. Throws when it does not answer. */
export function probePayments(url: string): Promise<Finding[]> {
  return probeAlive('payments', url, 'check that PAYMENT_URL is the payment simulator');
}

async function probeAlive(name: string, url: string, remedy: string): Promise<Finding[]> {
  const { status } = await getOnce(url, '/livez');
  if (status === 200) return [{ name, state: 'ok', detail: url }];
  return [{ name, state: 'missing', detail: `${url} answers ${status} to /livez`, remedy }];
}

async function getOnce(url: string, path: string) {
  const client = createHttpClient(url, { replyMsMax: REPLY_MS_MAX });
  try {
    return await client.send('GET', path);
  } finally {
    client.close();
  }
}

/** Whether Redis answers, and whether acknowledged writes are safe. Throws when it does not answer. */
export async function probeRedis(access: RedisAccess): Promise<Finding[]> {
  const address = access.addrs.join(', ');
  const name = 'Redis';
  const wanted = Object.entries(DURABLE_SETTINGS)
    .map(([setting, { value }]) => `${setting} ${value}`)
    .join(', ');
  return withRedis(access, async (redis) => {
    await redis.ping();
    const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
    const settings = await Promise.all(nodes.map(weakerSettings));
    const worst = settings.findIndex((found) => found?.length !== 0);
    const weak = worst < 0 ? [] : settings[worst];
    if (weak === undefined) {
      const remedy = `make sure yourself that it runs with ${wanted}`;
      return [{ name, state: 'warning', detail: `${address}, does not show its settings`, remedy }];
    }
    if (weak.length === 0) return [{ name, state: 'ok', detail: `${address}, ${wanted}` }];
    const present = weak.map((one) => `${one.name} ${one.found}`).join(', ');
    const change = weak.map((one) => `${one.name} ${one.value}`).join(' ');
    const remedy = `an accepted order can be lost: CONFIG SET ${change}`;
    return [{ name, state: 'warning', detail: `${address}, ${present}`, remedy }];
  });
}

/** Undefined where CONFIG is forbidden or renamed, as on managed servers. */
async function weakerSettings(redis: Redis) {
  try {
    return await findWeakerSettings(redis);
  } catch (error) {
    if (error instanceof Error && /^(ERR|NOPERM) /.test(error.message)) return undefined;
    throw error;
  }
}

/** Whether Kafka answers, has the topics, and an ingest process reads the orders. Throws when it does not answer. */
export async function probeKafka(
  access: KafkaAccess,
  names: TopicNames & {
    readonly consumerGroup: string;
    readonly archiverGroup: string;
    readonly hasArchive: boolean;
  },
): Promise<Finding[]> {
  const wanted = saleTopics(names);
  const kafka = createKafka('flash-sale-doctor', access);
  const kafkaAddrs = addressesOf(access);
  return withAdmin(kafka, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const missing = wanted.filter(({ topic }) => !existing.has(topic));
    if (missing.length > 0) {
      const partitions = missing.map(({ topic, partitions: n }) => `${n} for ${topic}`);
      const remedy = `npm start makes them; elsewhere: kafka-topics.sh --create --topic NAME --partitions N, with N = ${partitions.join(', ')}`;
      const detail = `${kafkaAddrs}, without ${missing.map(({ topic }) => topic).join(' and ')}`;
      return [{ name: 'Kafka', state: 'missing', detail, remedy }];
    }
    const topics = await describeTopics(
      admin,
      wanted.map(({ topic }) => topic),
    );
    const detail = `${kafkaAddrs}, ${topics.text}`;
    const broker: Finding = topics.hasLeaders
      ? { name: 'Kafka', state: 'ok', detail }
      : { name: 'Kafka', state: 'missing', detail, remedy: 'bring the brokers of these topics up' };
    const ingest = {
      name: 'ingest',
      group: names.consumerGroup,
      without: 'accepted orders wait',
    };
    const archiver = {
      name: 'archiver',
      group: names.archiverGroup,
      without: 'orders are not archived',
    };
    const readers = names.hasArchive ? [ingest, archiver] : [ingest];
    return [broker, ...(await Promise.all(readers.map((one) => findReaders(admin, one))))];
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

async function findReaders(
  admin: Admin,
  { name, group, without }: { name: string; group: string; without: string },
): Promise<Finding> {
  const { groups } = await admin.describeGroups([group]);
  const members = groups.find(({ groupId }) => groupId === group)?.members.length ?? 0;
  if (members > 0) return { name, state: 'ok', detail: `${members} in consumer group ${group}` };
  const remedy = `${without} until a process ${name} runs: npm start`;
  return { name, state: 'missing', detail: `nobody in consumer group ${group}`, remedy };
}

const CALL_MS_MAX = 5_000;

/**
 * Whether PostgreSQL answers, whether what is sent to it can be read on the way, and whether it has the schema of the
 * archive. Throws when it does not answer.
 */
export async function probeDatabase(access: DatabaseAccess | undefined): Promise<Finding[]> {
  const name = 'PostgreSQL';
  if (!access) {
    return [{ name, state: 'note', detail: 'DATABASE_URL is not set: orders are not archived' }];
  }
  const logger = createLogger('doctor', 'silent');
  const pool = createDatabasePool(access, { name: 'doctor', logger, connectionsMax: 1 });
  try {
    await pingDatabase(pool);
    const encrypted = access.tls ? 'with TLS' : 'without TLS';
    const where = `${databaseAddress(access)}, ${encrypted}`;
    const problem = await checkArchive(openArchive(pool)).then(() => undefined, describeError);
    if (problem !== undefined) {
      const remedy = 'npm start makes the tables; elsewhere: run setup';
      return [{ name, state: 'missing', detail: `${where}, ${problem}`, remedy }];
    }
    const detail = `${where}, schema of the archive`;
    if (access.tls || isLocalHost(access.host)) return [{ name, state: 'ok', detail }];
    const remedy = 'password and orders can be read on the way: remove sslmode=disable';
    return [{ name, state: 'warning', detail, remedy }];
  } finally {
    await closeDatabasePool(pool);
  }
}

/** gRPC status code. */
const NOT_FOUND = 5;

/** Whether Temporal answers, has namespace and search attributes, and workers poll it. Throws when it does not answer. */
export async function probeTemporal(access: TemporalAccess, taskQueue: string): Promise<Finding[]> {
  const { address, namespace } = access;
  return withTemporalConnection(access, CALL_MS_MAX, async (connection) => {
    if (!(await hasNamespace(connection, namespace))) {
      const remedy = `npm start makes it; elsewhere: temporal operator namespace create --namespace ${namespace} --retention 168h`;
      const detail = `${address}, without the namespace ${namespace}`;
      return [{ name: 'Temporal', state: 'missing', detail, remedy }];
    }
    return [
      await checkAttributes(connection, address, namespace),
      await findWorkers(connection, namespace, taskQueue),
    ];
  });
}

async function hasNamespace({ workflowService }: Connection, namespace: string): Promise<boolean> {
  try {
    await workflowService.describeNamespace({ namespace });
    return true;
  } catch (error) {
    const code: number | undefined = isGrpcServiceError(error) ? error.code : undefined;
    if (code === NOT_FOUND) return false;
    throw error;
  }
}

async function checkAttributes(
  { operatorService }: Connection,
  address: string,
  namespace: string,
): Promise<Finding> {
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((name) => !(name in customAttributes));
  const name = 'Temporal';
  if (missing.length === 0) {
    const detail = `${address}, namespace ${namespace}, search attributes ${SEARCH_ATTRIBUTES.join(', ')}`;
    return { name, state: 'ok', detail };
  }
  const options = missing.map((attribute) => `--name ${attribute} --type Keyword`).join(' ');
  const remedy = `npm start makes them; elsewhere: temporal operator search-attribute create --namespace ${namespace} ${options}`;
  const detail = `${address}, without the search attributes ${missing.join(', ')}`;
  return { name, state: 'missing', detail, remedy };
}

async function findWorkers(
  { workflowService }: Connection,
  namespace: string,
  taskQueue: string,
): Promise<Finding> {
  // Without a type the pollers of workflow tasks are listed.
  const { pollers } = await workflowService.describeTaskQueue({
    namespace,
    taskQueue: { name: taskQueue },
  });
  const name = 'worker';
  if (pollers.length > 0) {
    return { name, state: 'ok', detail: `${pollers.length} on task queue ${taskQueue}` };
  }
  const remedy = 'orders stay queued until a worker runs: npm start';
  return { name, state: 'missing', detail: `nobody on task queue ${taskQueue}`, remedy };
}
