import { Client, Connection } from '@temporalio/client';
import type { Pool } from 'pg';
import { createGateway, type Gateway } from '../client/gateway';
import { withPublisher } from '../engine/dead-letters/dead-letter-log';
import {
  createActionLog,
  type RecordAction,
  type RecordLate,
} from '../engine/operators/action-log';
import type { Env } from '../platform/config';
import type { DatabaseAccess, RedisAccess, TemporalAccess } from '../platform/config/access';
import {
  findOperatorsFile,
  findOperatorToken,
  findStackAddresses,
  loadCommandConfig,
  loadStackAccess,
} from '../platform/config/command-line';
import { createLogger } from '../platform/logger';
import { closeDatabasePool, createDatabasePool } from '../platform/postgres';
import * as platform from '../platform/redis';
import { describeError, UserError } from '../platform/user-error';
import { operatorName, type ActionOptions, type CommonOptions } from './command';
import { plain, type Terminal } from './terminal';

export type Context = ReturnType<typeof createContext>;

/** Who is at the terminal, and what records the actions. */
export interface Operator {
  readonly by: string;
  readonly record: RecordAction;
  readonly recordLate: RecordLate;
}

/** What the commands share: the terminal, the environment, and connections to the engine that it names. */
export function createContext({
  terminal,
  isWatched,
  env,
  root,
}: {
  readonly terminal: Terminal;
  /** Whether a person watches standard error. */
  readonly isWatched: boolean;
  readonly env: Env;
  /** The checkout. */
  readonly root: string;
}) {
  const addresses = ({ url, adminUrl }: CommonOptions) =>
    findStackAddresses({ url, adminUrl, env, root });
  const access = (options: CommonOptions) => loadStackAccess(addresses(options), env, root);
  return {
    terminal,
    isWatched,
    env,
    addresses,
    access,
    operator: (options: ActionOptions): Operator => {
      const by = options.by ?? operatorName();
      const { kafka } = access(options);
      const { operatorActionsTopic } = loadCommandConfig(env);
      const log = createActionLog({
        withPublisher: (use) => withPublisher(kafka, operatorActionsTopic, use),
        now: Date.now,
        report: (record, error) => {
          if (error === undefined) return;
          const text = plain(JSON.stringify(record));
          terminal.err(`The outcome is not in ${operatorActionsTopic}. Keep this line: ${text}\n`);
        },
      });
      const actor = { by, door: 'cli' } as const;
      return { by, record: log.recorder(actor), recordLate: log.lateRecorder(actor) };
    },
    config: () => loadCommandConfig(env),
    operatorsFile: () => findOperatorsFile(env, root),
    /** Runs `use` with the gateway, for an operator at its admin listener, and with where the Temporal Web UI is. */
    withGateway: async <T>(
      options: CommonOptions & { readonly operator?: boolean | undefined },
      use: (deps: { terminal: Terminal; gateway: Gateway; trace: Trace }) => Promise<T>,
    ): Promise<T> => {
      const found = addresses(options);
      const { gateway: url, admin, temporalUi } = found.addresses;
      const { namespace, buyerToken } = loadCommandConfig(env);
      const gateway = options.operator
        ? createGateway(admin, { token: findOperatorToken(found, env, root) })
        : createGateway(url, { token: buyerToken });
      const trace = { temporalUi, namespace };
      return use({ terminal, gateway, trace }).finally(gateway.close);
    },
  };
}

/** Where the Temporal Web UI is. */
export interface Trace {
  readonly temporalUi: string;
  readonly namespace: string;
}

/** Runs `use` with a connection of its own. Throws a UserError with a remedy when Redis does not answer. */
export async function withRedis<T>(
  access: RedisAccess,
  use: (redis: platform.RedisConnection) => Promise<T>,
): Promise<T> {
  try {
    return await platform.withRedis(access, use);
  } catch (error) {
    if (!(error instanceof platform.RedisUnreachable)) throw error;
    throw notRunning(error.message, error.cause);
  }
}

/**
 * Runs `use` with a pool that connects when it is asked, and closes it; with none where the environment names no PostgreSQL.
 */
export async function withDatabase<T>(
  access: DatabaseAccess | undefined,
  use: (pool: Pool | undefined) => Promise<T>,
): Promise<T> {
  const logger = createLogger('flash-sale', 'silent');
  const pool = access && createDatabasePool(access, { name: 'cli', logger });
  return use(pool).finally(() => pool && closeDatabasePool(pool));
}

const CONNECT_MS_MAX = 2_000;

/** Runs `use` with a connection of its own. Throws a UserError with a remedy when Temporal does not answer. */
export async function withTemporal<T>(
  { address, namespace, security }: TemporalAccess,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const connection = await Connection.connect({
    address,
    connectTimeout: CONNECT_MS_MAX,
    ...security?.reveal(),
  }).catch((cause: unknown) => {
    throw notRunning(`Temporal at ${address} gives no answer`, cause);
  });
  try {
    return await use(new Client({ connection, namespace }));
  } finally {
    await connection.close();
  }
}

export function notRunning(what: string, cause: unknown): UserError {
  return new UserError(`${what} (${describeError(cause)}): is the stack running? (npm start)`, {
    cause,
  });
}
