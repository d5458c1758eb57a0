import { Cluster, type Redis } from 'ioredis';
import type { RedisAccess } from '../../platform/config/access';
import { withRedis } from '../wiring/redis-connection';
import type { Finding } from './check';

/** Under weaker settings an acknowledged hold can be lost, or dropped to make room. */
const WANTED = [
  ['appendonly', 'yes'],
  ['appendfsync', 'always'],
  ['maxmemory-policy', 'noeviction'],
] as const;

/** Whether Redis answers, and whether what it has acknowledged is safe. Throws when it does not answer. */
export async function probeRedis(access: RedisAccess): Promise<Finding[]> {
  const address = access.addrs.join(', ');
  return withRedis(access, async (redis) => {
    await redis.ping();
    const name = 'Redis';
    const settings = await readWeakest(redis instanceof Cluster ? redis.nodes('master') : [redis]);
    if (settings === undefined) {
      const remedy = `make sure yourself that it runs with ${list(WANTED)}`;
      return [{ name, state: 'warning', detail: `${address}, does not show its settings`, remedy }];
    }
    const weak = WANTED.filter(([setting, wanted]) => settings[setting] !== wanted);
    if (weak.length === 0) return [{ name, state: 'ok', detail: `${address}, ${list(WANTED)}` }];
    const present = weak.map(([setting]) => [setting, settings[setting] ?? 'unknown'] as const);
    const remedy = `an accepted order can be lost: CONFIG SET ${weak.flat().join(' ')}`;
    return [{ name, state: 'warning', detail: `${address}, ${list(present)}`, remedy }];
  });
}

/** The settings of the first node that is not set as it should be; of any, when all are. */
async function readWeakest(nodes: readonly Redis[]) {
  const found = await Promise.all(nodes.map(readSettings));
  return found.find((settings) => !isSafe(settings)) ?? found[0];
}

function isSafe(settings: Record<string, string> | undefined): boolean {
  return settings !== undefined && WANTED.every(([name, wanted]) => settings[name] === wanted);
}

/** Undefined where CONFIG is forbidden or renamed, as managed servers do. */
async function readSettings(redis: Redis): Promise<Record<string, string> | undefined> {
  try {
    const names = WANTED.map(([name]) => name);
    const reply: unknown = await redis.call('CONFIG', 'GET', ...names);
    return settingsOf(reply);
  } catch (error) {
    if (error instanceof Error && /^(ERR|NOPERM) /.test(error.message)) return undefined;
    throw error;
  }
}

/** Older protocols answer a flat list of names and values, the present one a map. */
function settingsOf(reply: unknown): Record<string, string> {
  const flat = Array.isArray(reply)
    ? reply.map(String)
    : Object.entries(reply ?? {})
        .flat()
        .map(String);
  const settings: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) settings[flat[at] ?? ''] = flat[at + 1] ?? '';
  return settings;
}

function list(settings: readonly (readonly [string, string])[]): string {
  return settings.map(([name, value]) => `${name} ${value}`).join(', ');
}
