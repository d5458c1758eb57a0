import type { Redis } from 'ioredis';
import type { Logger } from './logger';

/** What the stock needs of its Redis, and what is lost with less. */
const NEEDED = {
  appendonly: { value: 'yes', without: 'a restart forgets every order and all stock' },
  appendfsync: { value: 'always', without: 'a crash can forget orders that were answered 202' },
  'maxmemory-policy': { value: 'noeviction', without: 'a full Redis drops orders and claims' },
} as const;

/**
 * Compares how Redis keeps its data with what the stock needs, each time the connection is made, for a Redis may come
 * back with other settings. What is weaker is a warning, or in production a fault for `refuse`. A server that does not
 * tell (managed ones often forbid CONFIG) is a warning.
 */
export function watchRedisDurability(
  redis: Redis,
  options: { production: boolean; logger: Logger; refuse: (error: Error) => void },
): void {
  const { production, logger, refuse } = options;
  const check = async () => {
    const weaker = await findWeaker(redis);
    if (weaker.length === 0) return;
    if (production) refuse(new Error(`Redis keeps its data too loosely: ${weaker.join('; ')}`));
    else logger.warn({ weaker }, 'Redis keeps its data loosely');
  };
  const checkOrWarn = () => {
    check().catch((error: unknown) => {
      logger.warn(
        { err: error },
        'Redis does not tell how it keeps its data: see to it that it does',
      );
    });
  };
  redis.on('ready', checkOrWarn);
  if (redis.status === 'ready') checkOrWarn();
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
