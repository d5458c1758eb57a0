import type { KafkaAccess, RedisAccess, TemporalAccess } from '../../platform/config/access';
import {
  loadKafkaAccess,
  loadRedisAccess,
  loadTemporalAccess,
  type Env,
} from '../../platform/config';
import type { FoundAddresses } from './stack-addresses';
import { UserError } from '../../platform/user-error';

/** How the parts behind the gateway are reached. */
export interface StackAccess {
  readonly redis: RedisAccess;
  readonly kafka: KafkaAccess;
  readonly temporal: TemporalAccess;
}

/**
 * The addresses with what it takes to connect to them. Passwords and certificates of the environment belong to the
 * addresses of the environment: the local stack knows none. Throws a UserError for settings that are wrong.
 */
export function stackAccess({ addresses, origins }: FoundAddresses, env: Env): StackAccess {
  const byProfile = Boolean(env['TEMPORAL_PROFILE'] ?? env['TEMPORAL_CONFIG_FILE']);
  const namespace = env['TEMPORAL_NAMESPACE'];
  try {
    return {
      redis: loadRedisAccess(
        origins.redis === 'environment' ? env : { REDIS_ADDR: addresses.redis },
      ),
      kafka: loadKafkaAccess(
        origins.kafka === 'environment' ? env : { KAFKA_ADDR: addresses.kafka },
      ),
      temporal: loadTemporalAccess(
        origins.temporal === 'environment' || byProfile
          ? env
          : { TEMPORAL_ADDRESS: addresses.temporal, TEMPORAL_NAMESPACE: namespace },
      ),
    };
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
