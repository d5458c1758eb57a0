import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Secret } from '../../../platform/config/reader';
import type { RedisAccess } from '../../../platform/config/access';
import { findRedis, serverArgs } from '../../../stack/components/redis';
import { freePorts } from '../../../stack/settings';
import { type GuardedProcess, spawnGuarded } from '../../../stack/guarded-process';
import { eventually } from '../eventually';
import type { Certificates } from './certificates';
import { createTestComponents } from './test-components';
import { startTlsProxy } from './tls-proxy';

export const PASSWORD = 'a password of the cluster';

const SLOTS = 16_384;
const MASTERS = 3;
const STOP_MS_MAX = 10_000;

export interface ClusterNode {
  /** A connection without TLS, for the test itself. */
  readonly redis: Redis;
  readonly slots: { readonly first: number; readonly last: number };
  readonly kill: () => Promise<void>;
  /** Starts the node again with its data and waits until the cluster is complete. */
  readonly restart: () => Promise<void>;
}

export interface RedisCluster {
  readonly access: RedisAccess;
  readonly nodes: readonly ClusterNode[];
  readonly stop: () => Promise<void>;
}

/**
 * Three masters without replicas, each with a third of the slots and a password. The available servers are built without
 * TLS, so each is behind a TLS proxy and announces the proxy's port to clients.
 */
export async function startRedisCluster(certificates: Certificates): Promise<RedisCluster> {
  const own = await createTestComponents('redis-cluster');
  const { command } = await findRedis(own.context);
  const members = await Promise.all(
    Array.from({ length: MASTERS }, (_, at) => startMember(own, { command, at, certificates })),
  );
  const whole = () =>
    eventually('the cluster is complete', async () => {
      const infos = await Promise.all(members.map(({ redis }) => redis.cluster('INFO')));
      return infos.every(
        (info) => info.includes('cluster_state:ok') && info.includes(`known_nodes:${MASTERS}`),
      );
    });
  await introduce(members);
  await whole();
  return {
    access: {
      addrs: members.map(({ port }) => `127.0.0.1:${String(port)}`),
      cluster: true,
      password: new Secret(PASSWORD),
      tls: {
        ca: certificates.ca.cert,
        client: { cert: certificates.client.cert, key: new Secret(certificates.client.key) },
        serverName: undefined,
      },
    },
    nodes: members.map(({ redis, slots, kill, start }) => ({
      redis,
      slots,
      kill,
      restart: async () => {
        await start();
        await whole();
      },
    })),
    stop: async () => {
      await Promise.all(members.map(({ stop }) => stop()));
    },
  };
}

type Member = Awaited<ReturnType<typeof startMember>>;

async function introduce(members: readonly Member[]): Promise<void> {
  for (const [at, { redis, slots }] of members.entries()) {
    await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', at + 1);
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', slots.first, slots.last);
  }
  const [first, ...others] = members;
  for (const { plainPort, busPort } of others) {
    await first?.redis.call('CLUSTER', 'MEET', '127.0.0.1', plainPort, busPort);
  }
}

async function startMember(
  own: Awaited<ReturnType<typeof createTestComponents>>,
  options: { command: string; at: number; certificates: Certificates },
) {
  const { command, at, certificates } = options;
  const { redis: plainPort, kafka: busPort, gateway: proxyPort } = await freePorts();
  const proxy = await startTlsProxy(certificates, { port: proxyPort, target: plainPort });
  const dir = join(own.dataDir, `node-${String(at)}`);
  mkdirSync(dir, { recursive: true });
  const program = {
    command,
    args: [...serverArgs(plainPort, dir), ...clusterArgs({ busPort, proxyPort })],
    env: process.env,
    cwd: dir,
    logFile: join(own.dataDir, `node-${String(at)}.log`),
  };
  const redis = new Redis({
    port: plainPort,
    host: '127.0.0.1',
    password: PASSWORD,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
  });
  redis.on('error', () => undefined);
  let running: GuardedProcess;
  const start = async () => {
    running = spawnGuarded(own.root, program);
    await eventually(`node ${String(at)} responds`, () => redis.ping());
  };
  await start();
  const slots = {
    first: Math.floor((SLOTS / MASTERS) * at),
    last: Math.floor((SLOTS / MASTERS) * (at + 1)) - 1,
  };
  return {
    redis,
    slots,
    start,
    plainPort,
    busPort,
    port: proxy.port,
    kill: async () => {
      running.signal('SIGKILL');
      await running.exited;
    },
    stop: async () => {
      redis.disconnect();
      await running.stop(STOP_MS_MAX);
      await proxy.close();
    },
  };
}

function clusterArgs({ busPort, proxyPort }: { busPort: number; proxyPort: number }): string[] {
  const options = {
    'cluster-enabled': 'yes',
    'cluster-port': busPort,
    'cluster-announce-port': proxyPort,
    'cluster-node-timeout': 2_000,
    // The items of the other slots can be sold while one master is away.
    'cluster-require-full-coverage': 'no',
    requirepass: PASSWORD,
    masterauth: PASSWORD,
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
}
