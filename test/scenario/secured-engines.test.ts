/**
 * The engine on a Redis Cluster, a Kafka with SASL_SSL and a Temporal with mutual TLS, all real. Neither the Redis at hand
 * nor Temporal's development server can do TLS: a proxy in front of them ends it and checks the client's certificate.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { Partitioners } from 'kafkajs';
import { createKafka } from '../../engine/kafka/kafka-client';
import { checkTopic, partitionCount } from '../../engine/kafka/topics';
import { loadTemporalAccess } from '../../platform/config';
import { type KafkaAccess, SASL_MECHANISMS } from '../../platform/config/access';
import { Secret } from '../../platform/config/reader';
import { createLogger } from '../../platform/logger';
import { connectTemporal } from '../../platform/temporal';
import { temporalAddress } from '../support/addresses';
import { expectBalance } from '../support/balance';
import { buy, getJson } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { anItem } from '../support/purchases';
import { makeCertificates, type Certificates } from '../support/secured/certificates';
import * as kafkaAtHand from '../support/secured/kafka';
import * as redisAtHand from '../support/secured/redis-cluster';
import { startApiKeyProxy } from '../support/secured/api-key-proxy';
import { startTlsProxy } from '../support/secured/tls-proxy';
import type { LoopbackServer } from '../support/loopback-server';

const folder = mkdtempSync(join(tmpdir(), 'flash-sale-'));
const logger = createLogger('test', 'silent');
let certificates: Certificates;
let cluster: redisAtHand.RedisCluster;
let kafka: kafkaAtHand.SecuredKafka;
let temporal: LoopbackServer;
let engine: Engine;
/** What an operator gives the processes: passwords as files. */
let env: Record<string, string>;

beforeAll(async () => {
  certificates = makeCertificates(folder);
  const target = Number(temporalAddress().split(':')[1]);
  [cluster, kafka, temporal] = await Promise.all([
    redisAtHand.startRedisCluster(certificates),
    kafkaAtHand.startSecuredKafka(certificates),
    startTlsProxy(certificates, { port: 0, target }),
  ]);
  env = environment();
  engine = await startEngine(env);
}, 120_000);
afterAll(async () => {
  await engine.stop();
  await Promise.all([cluster.stop(), kafka.stop(), temporal.close()]);
  rmSync(folder, { recursive: true });
}, 60_000);

function environment(): Record<string, string> {
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, `${text}\n`);
    return path;
  };
  const { ca, client } = certificates;
  const tls = (part: string) => ({
    [`${part}_TLS`]: 'true',
    [`${part}_TLS_CA_FILE`]: ca.certFile,
    [`${part}_TLS_CERT_FILE`]: client.certFile,
    [`${part}_TLS_KEY_FILE`]: client.keyFile,
  });
  return {
    ...tls('REDIS'),
    REDIS_ADDR: cluster.access.addrs.join(','),
    REDIS_CLUSTER: 'true',
    REDIS_PASSWORD_FILE: file('redis-password', redisAtHand.PASSWORD),
    ...tls('KAFKA'),
    KAFKA_ADDR: kafka.accessBy('PLAIN').addrs.join(','),
    KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
    KAFKA_SASL_USERNAME: kafkaAtHand.USER,
    KAFKA_SASL_PASSWORD_FILE: file('kafka-password', kafkaAtHand.PASSWORD),
    TEMPORAL_ADDRESS: `127.0.0.1:${String(temporal.port)}`,
    TEMPORAL_TLS_SERVER_CA_CERT_PATH: ca.certFile,
    TEMPORAL_TLS_CLIENT_CERT_PATH: client.certFile,
    TEMPORAL_TLS_CLIENT_KEY_PATH: client.keyFile,
    LOG_LEVEL: 'debug',
  };
}

const orders = (itemId: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    user_id: `u${String(i)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${String(i)}`,
  }));

describe('Kafka with SASL_SSL and client certificates', () => {
  test.each(SASL_MECHANISMS)('takes and keeps records of who comes by %s', async (mechanism) => {
    const client = createKafka('test', kafka.accessBy(mechanism));
    const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    try {
      const sent = await producer.send({ topic: 'orders', messages: [{ value: 'not an order' }] });
      expect(sent).toMatchObject([{ errorCode: 0 }]);
    } finally {
      await producer.disconnect();
    }
  });

  test.each<[string, Partial<KafkaAccess>]>([
    [
      'the right password',
      { sasl: { mechanism: 'PLAIN', username: kafkaAtHand.USER, password: new Secret('guessed') } },
    ],
    ['its authority', { tls: { ca: undefined, client: undefined, serverName: undefined } }],
    ['TLS', { tls: undefined }],
  ])('does not let in who lacks %s', async (_, lacking) => {
    const client = createKafka('test', { ...kafka.accessBy('PLAIN'), ...lacking });
    await expect(partitionCount(client, 'orders')).rejects.toThrow();
  });

  test('is refused in production where one broker keeps all copies, and says which setting is why', async () => {
    const client = createKafka('test', kafka.accessBy('SCRAM-SHA-256'));
    const checked = checkTopic(client, 'orders', { production: true, logger });
    await expect(checked).rejects.toThrow(/orders too loosely: .*replication factor is 1, not 3/);
    expect(await checkTopic(client, 'orders', { production: false, logger })).toBe(6);
    await expect(checkTopic(client, 'none', { production: false, logger })).rejects.toThrow(
      'Kafka has no topic none',
    );
  });

  test('keeps a process in production from starting, with that reason as its last word', async () => {
    const child = spawn(process.execPath, ['dist/api/main.js'], {
      env: {
        ...process.env,
        ...env,
        ENGINE_MODE: 'production',
        BUYER_AUTH: 'trusted',
        PAYMENT_PROVIDER: 'stripe',
        STRIPE_SECRET_KEY: 'sk_live_1',
        LOG_LEVEL: 'silent',
      },
    });
    let words = '';
    child.stderr.on('data', (data: Buffer) => (words += data.toString()));
    expect(await once(child, 'close')).toEqual([1, null]);
    expect(words).toContain('replication factor is 1, not 3');
  });
});

describe('Temporal with mutual TLS', () => {
  const connect = (variables: Record<string, string>) => {
    const { address, security } = loadTemporalAccess(variables);
    return Connection.connect({ address, connectTimeout: 2_000, ...security?.reveal() });
  };

  test('answers to a profile of the file that its own command reads', async () => {
    const profile = join(folder, 'temporal.toml');
    writeFileSync(
      profile,
      `[profile.sale]
address = "127.0.0.1:${String(temporal.port)}"
[profile.sale.tls]
server_ca_cert_path = "${certificates.ca.certFile}"
client_cert_path = "${certificates.client.certFile}"
client_key_path = "${certificates.client.keyFile}"
`,
    );
    const connection = await connect({ TEMPORAL_CONFIG_FILE: profile, TEMPORAL_PROFILE: 'sale' });
    try {
      expect(await connection.workflowService.getSystemInfo({})).toHaveProperty('serverVersion');
    } finally {
      await connection.close();
    }
  });

  test('does not answer to who has no certificate', async () => {
    const { TEMPORAL_ADDRESS = '', TEMPORAL_TLS_SERVER_CA_CERT_PATH = '' } = env;
    await expect(connect({ TEMPORAL_ADDRESS, TEMPORAL_TLS_SERVER_CA_CERT_PATH })).rejects.toThrow();
  });
});

describe('Temporal with an API key', () => {
  let proxy: LoopbackServer;
  beforeAll(async () => {
    const target = Number(temporalAddress().split(':')[1]);
    proxy = await startApiKeyProxy(certificates, { key: 'a-key', target });
  });
  afterAll(() => proxy.close());

  test.each([
    ['the key', 'a-key', 'fulfilled'],
    ['another key', 'guessed', 'rejected'],
  ])('treats a client with %s as it should, also the worker’s native one', async (_, key, fate) => {
    const access = loadTemporalAccess({
      TEMPORAL_ADDRESS: `127.0.0.1:${String(proxy.port)}`,
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: certificates.ca.certFile,
      TEMPORAL_API_KEY: key,
    });
    const options = { address: access.address, ...access.security?.reveal() };
    const outcomes = await Promise.allSettled([
      Connection.connect(options).then((connection) => connection.close()),
      connectTemporal(access).then((connection) => connection.close()),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([fate, fate]);
  });
});

describe('a sale on secured engines', () => {
  test('confirms or fails every accepted order, and the books agree', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 20);
    const crowd = orders(itemId, 30);
    const answers = await Promise.all(crowd.map((body) => buy(engine.gateway, body)));
    const accepted = crowd.filter((_, i) => answers[i]?.status === 202);
    expect(accepted).toHaveLength(20);
    const { confirmed, failed } = await expectBalance(engine, { itemId, supply: 20, accepted });
    expect(confirmed).toBeGreaterThan(0);
    expect(confirmed + failed).toBe(20);
  }, 60_000);

  test('answers 503 while a master of the cluster is away, and accepts again when it is back', async () => {
    const [dead] = cluster.nodes;
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 100);
    await dead?.kill();
    const crowd = orders(itemId, 60);
    const answers = await Promise.all(crowd.map((body) => buy(engine.gateway, body)));
    // A third of the claims lies on the dead master, wherever the stock is.
    const refused = crowd.filter((_, i) => answers[i]?.status !== 202);
    expect(refused.length).toBeGreaterThan(0);
    expect(answers.every(({ status }) => status === 202 || status === 503)).toBe(true);
    expect((await getJson(`${engine.gateway}/livez`))['live']).toBe(true);

    await dead?.restart();
    const accepted = crowd.filter((body) => !refused.includes(body));
    for (const body of refused) {
      const { accepted: isAccepted } = await eventually(
        `${body.request_id} is decided`,
        async () => {
          const { status, body: answer } = await buy(engine.gateway, body);
          const isKnown = answer['type'] === '/problems/duplicate-request';
          return (status === 202 || isKnown) && { accepted: true };
        },
      );
      if (isAccepted) accepted.push(body);
    }
    expect(accepted).toHaveLength(60);
    await expectBalance(engine, { itemId, supply: 100, accepted });
  }, 90_000);

  test('leaves no password and no key in any log', () => {
    const names = ['api', 'ingest', 'worker', 'simulator'] as const;
    const logs = names.map((name) => readFileSync(engine.logFile(name), 'utf8')).join('\n');
    expect(logs.length).toBeGreaterThan(0);
    const keyLine = certificates.client.key.split('\n')[3] ?? '';
    for (const secret of [redisAtHand.PASSWORD, kafkaAtHand.PASSWORD, keyLine]) {
      expect(logs.includes(secret)).toBe(false);
    }
  });
});
