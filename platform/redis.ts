import { Redis } from 'ioredis';
import type { Logger } from './logger';

/**
 * How long a command may take at the door, in ms. Two of them and the Kafka deadline must fit into a hold's lease.
 * A healthy Redis with `appendfsync always` answers in single milliseconds, a stalled disk in hundreds.
 */
const DOOR_COMMAND_MS_MAX = 2_000;

/** Workers can wait: their callers retry, and a try that is given up early only repeats the work. */
const PATIENT_COMMAND_MS_MAX = 5_000;

/**
 * A connection that fails fast instead of queueing: for the gateway, whose client waits. A command that is in
 * flight when the connection breaks is not sent again; its timeout ends it.
 */
export function connectDoorRedis(addr: string, logger: Logger): Redis {
  return connect(addr, logger, {
    commandTimeout: DOOR_COMMAND_MS_MAX,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
  });
}

/** A connection that waits for Redis to come back and sends again what was in flight: every script may run twice. */
export function connectPatientRedis(addr: string, logger: Logger): Redis {
  return connect(addr, logger, { commandTimeout: PATIENT_COMMAND_MS_MAX, maxRetriesPerRequest: 5 });
}

const ONE_OFF_CONNECT_MS_MAX = 2_000;

/**
 * Runs `use` with a connection of its own, which fails at once instead of waiting for a server that is not there, and
 * closes it. Throws what `use` throws, or a RedisUnreachable when there is nothing to connect to.
 */
export async function withRedis<T>(addr: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({
    ...hostAndPort(addr),
    lazyConnect: true,
    connectTimeout: ONE_OFF_CONNECT_MS_MAX,
    commandTimeout: PATIENT_COMMAND_MS_MAX,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  // connect() rejects with "connection is closed"; the reason comes only as this event.
  let reason: Error | undefined;
  redis.on('error', (error: Error) => {
    reason = error;
  });
  try {
    await redis.connect().catch((error: unknown) => {
      throw new RedisUnreachable(`Cannot reach Redis at ${addr}`, { cause: reason ?? error });
    });
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

/** Nothing answers at the address. */
export class RedisUnreachable extends Error {
  override readonly name = 'RedisUnreachable';
}

function hostAndPort(addr: string) {
  const separator = addr.lastIndexOf(':');
  return { host: addr.slice(0, separator), port: Number(addr.slice(separator + 1)) };
}

function connect(addr: string, logger: Logger, options: object): Redis {
  const redis = new Redis({
    ...hostAndPort(addr),
    connectTimeout: 2_000,
    // Reconnect within a second of its return, however long it was away.
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    ...options,
  });
  redis.on('error', (error: Error) => {
    logger.warn({ err: error.message, addr }, 'redis connection');
  });
  return redis;
}
