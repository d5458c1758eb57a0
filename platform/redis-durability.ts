import { Cluster, type Redis } from 'ioredis';
import type { Logger } from './logger';
import type { RedisConnection } from './redis';

/** What the stock needs of its Redis, and what is lost with less. */
const NEEDED = {
  appendonly: { value: 'yes', without: 'a restart forgets every order and all stock' },
  appendfsync: { value: 'always', without: 'a crash can forget orders that were answered 202' },
  'maxmemory-policy': { value: 'noeviction', without: 'a full Redis drops orders and claims' },
} as const;

/**
 * Compares how Redis keeps its data with what the stock needs, each time a connection is made, for a Redis may come
 * back with other settings; in a Cluster at every node that takes writes. What is weaker is a warning, or in production
 * a fault for `refuse`. A server that does not tell (managed ones often forbid CONFIG) is a warning.
 */
export function watchRedisDurability(
  redis: RedisConnection,
  options: { production: boolean; logger: Logger; refuse: (error: Error) => void },
): void {
  const { production, logger, refuse } = options;
  const check = async (node: Redis) => {
    const weaker = await findWeaker(node);
    if (weaker.length === 0) return;
    const addr = addrOf(node);
    if (production)
      refuse(new Error(`Redis at ${addr} keeps its data too loosely: ${weaker.join('; ')}`));
    else logger.warn({ addr, weaker }, 'Redis keeps its data loosely');
  };
  const watch = (node: Redis) => {
    const checkOrWarn = () => {
      check(node).catch((error: unknown) => {
        logger.warn(
          { err: error, addr: addrOf(node) },
          'Redis does not tell how it keeps its data: see to it that it does',
        );
      });
    };
    node.on('ready', checkOrWarn);
    if (node.status === 'ready') checkOrWarn();
  };
  if (redis instanceof Cluster) {
    redis.on('+node', watch);
    redis.nodes('master').forEach(watch);
  } else {
    watch(redis);
  }
}

function addrOf({ options }: Redis): string {
  return `${options.host ?? ''}:${String(options.port ?? '')}`;
}

async function findWeaker(redis: Redis): Promise<string[]> {
  const settings = pairs(await redis.config('GET', ...Object.keys(NEEDED)));
  return Object.entries(NEEDED).flatMap(([name, { value, without }]) => {
    const found = settings[name] ?? 'unknown';
    return found === value ? [] : [`${name} is ${found}, not ${value}: ${without}`];
  });
}

/** CONFIG GET answers name, value, name, value ... */
function pairs(reply: unknown): Record<string, string> {
  const list = reply as readonly string[];
  return Object.fromEntries(
    list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1] ?? '']] : [])),
  );
}
