import type { Env } from '../../platform/config';
import type { StackSettings } from './settings';
import { UserError } from '../../platform/user-error';

/** How a part that is given from outside is reached; a wrong setting is for the person at the terminal to mend. */
export function givenAccess<T>(load: (env: Env) => T, { env }: StackSettings): T {
  try {
    return load(env);
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/**
 * The environment without what it takes to reach parts elsewhere: passwords and certificates for another Redis, Kafka
 * or Temporal would keep the engine out of the ones that were started here.
 */
export function withoutForeignAccess({ env, ...given }: StackSettings): Env {
  const foreign = [
    ...(given.redisAddr === undefined ? [/^REDIS_(CLUSTER|USERNAME|PASSWORD|TLS)/] : []),
    ...(given.kafkaAddr === undefined ? [/^KAFKA_(SASL|TLS)/] : []),
    ...(given.temporalAddress === undefined ? [/^TEMPORAL_(API_KEY|TLS|CONFIG_FILE|PROFILE)/] : []),
  ];
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !foreign.some((pattern) => pattern.test(name))),
  );
}
