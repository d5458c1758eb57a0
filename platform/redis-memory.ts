import { Cluster, type Redis } from 'ioredis';
import type { Logger } from './logger';
import { sharedGauge } from './metrics';
import { addrOf, type RedisConnection } from './redis';
import { lookEvery } from './until';

/** From this share of maxmemory on no purchases are taken: the rest is for the orders under way, their events and clients. */
const FULL_FROM = 0.9;
/** They are taken again below this share. The gap keeps the answer from changing with every order that ends. */
const ROOM_BELOW = 0.85;
/** Twice a second, so that a full Redis is noticed within one. INFO memory takes the server about 0.1 ms. */
const LOOK_EVERY_MS = 500;

export type RedisMemory = ReturnType<typeof watchRedisMemory>;

/**
 * Watches how full Redis is; in a Cluster every node that takes writes, because the fullest one refuses first. A server
 * without maxmemory, or one that does not tell, is a warning and counts as one with room.
 */
export function watchRedisMemory(redis: RedisConnection, logger: Logger) {
  const full = new Set<string>();
  const warned = new Set<string>();
  const shareUsed = memoryGauge();

  const look = async (node: Redis): Promise<void> => {
    const addr = addrOf(node);
    const share = shareOf(await node.info('memory'));
    if (share === undefined) {
      warnOnce(addr, 'maxmemory of Redis is 0: it grows until the system ends it');
      full.delete(addr);
      return;
    }
    shareUsed.set({ addr }, share);
    if (share >= FULL_FROM && !full.has(addr)) {
      full.add(addr);
      logger.error({ addr, share }, 'Redis is nearly full: no purchases are accepted');
    } else if (share < ROOM_BELOW && full.delete(addr)) {
      logger.info({ addr, share }, 'Redis has room again: purchases are accepted');
    }
  };
  const warnOnce = (addr: string, text: string, error?: unknown) => {
    if (warned.has(addr)) return;
    warned.add(addr);
    logger.warn({ addr, err: error }, text);
  };
  const lookAtAll = async (): Promise<void> => {
    const nodes = redis instanceof Cluster ? redis.nodes('master') : [redis];
    const present = new Set(nodes.map(addrOf));
    for (const addr of full) if (!present.has(addr)) full.delete(addr);
    // While a node is away the state of its last look stays: its purchases fail by themselves.
    const ready = nodes.filter(({ status }) => status === 'ready');
    await Promise.all(
      ready.map((node) =>
        look(node).catch((error: unknown) => {
          warnOnce(addrOf(node), 'the memory of Redis is unknown', error);
        }),
      ),
    );
  };

  const { stop } = lookEvery(LOOK_EVERY_MS, lookAtAll);

  return {
    isNearlyFull: (): boolean => full.size > 0,
    /** A sentence for each node that is nearly full. */
    warnings: (): string[] =>
      [...full].map((addr) => `Redis at ${addr} is nearly full: no purchases are accepted`),
    stop,
  };
}

/** The used share of maxmemory, as the server counts before it refuses writes; undefined without a maxmemory. */
function shareOf(info: string): number | undefined {
  const bytes = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const max = bytes('maxmemory');
  if (max === 0) return undefined;
  return (bytes('used_memory') - bytes('mem_not_counted_for_evict')) / max;
}

function memoryGauge() {
  return sharedGauge({
    name: 'flash_sale_redis_memory_share',
    help: 'Used share of the maxmemory of Redis; from 0.9 on the gateway accepts no purchases',
    labelNames: ['addr'],
    // The gateway processes behind one port see the same servers.
    aggregator: 'max',
  });
}
