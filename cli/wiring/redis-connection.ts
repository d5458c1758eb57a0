import type { RedisAccess } from '../../platform/config/access';
import * as platform from '../../platform/redis';
import { UserError, describeError } from '../../platform/user-error';

/** Redis is not there, or has gone. */
export class RedisFault extends UserError {
  override readonly name = 'RedisFault';
}

/** A connection of its own for `use`; that nothing answers is told as a RedisFault with what to do. */
export async function withRedis<T>(
  access: RedisAccess | string,
  use: (redis: platform.RedisConnection) => Promise<T>,
): Promise<T> {
  try {
    return await platform.withRedis(access, use);
  } catch (error) {
    if (!(error instanceof platform.RedisUnreachable)) throw error;
    throw new RedisFault(
      `${error.message} (${describeError(error.cause)}): is the stack running? (npm start)`,
      { cause: error },
    );
  }
}
