import { Redis } from 'ioredis';
import { describeFault, PlainFault } from './plain-fault';

const CONNECT_MS_MAX = 2_000;
const COMMAND_MS_MAX = 5_000;

/** Redis is not there, or has gone. */
export class RedisFault extends PlainFault {
  override readonly name = 'RedisFault';
}

/**
 * Runs `use` with a connection that fails at once instead of waiting for a server that is not there, and closes it.
 * Throws a RedisFault when nothing can be connected to, what `use` throws otherwise.
 */
export async function withRedis<T>(address: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const separator = address.lastIndexOf(':');
  const redis = new Redis({
    host: address.slice(0, separator),
    port: Number(address.slice(separator + 1)),
    lazyConnect: true,
    connectTimeout: CONNECT_MS_MAX,
    commandTimeout: COMMAND_MS_MAX,
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
      const cause = reason ?? error;
      throw new RedisFault(
        `Cannot reach Redis at ${address} (${describeFault(cause)}): is the stack running? (npm start)`,
        { cause },
      );
    });
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}
