import { Client, Pool, type PoolConfig } from 'pg';
import { databaseAddress, type DatabaseAccess } from './config/access';
import { createRepeatFilter, type Logger } from './logger';
import { within } from './until';
import { errorCode, UserError } from './user-error';

/** For a new connection, and for a free one of a pool whose connections are all in use. */
const CONNECT_MS_MAX = 5_000;

/** Statements are batches of rows or look-ups by an index; the server ends one that takes longer. */
const STATEMENT_MS_MAX = 20_000;

/** A server that is frozen ends nothing. Later than its own limit, so that its reason is the one that is reported. */
const answerMsMax = (statementMsMax: number) => statementMsMax * 1.25;

/** A transaction does nothing but its statements. One whose process is frozen must not hold its locks for ever. */
const IDLE_IN_TRANSACTION_MS_MAX = 20_000;

/** An idle connection through a firewall is cut without a word, and found dead by these probes. */
const KEEP_ALIVE_AFTER_MS = 10_000;

const CLOSE_MS_MAX = 2_000;

/** A process writes one batch at a time and answers some look-ups; a server lets 100 connections in by default. */
const CONNECTIONS_MAX = 4;

/**
 * Connections to PostgreSQL that are opened when they are needed. `name` is the process, as the server shows it. A
 * connection that failed or whose statement had no answer in time is replaced.
 */
export function createDatabasePool(
  access: DatabaseAccess,
  {
    name,
    logger,
    connectionsMax = CONNECTIONS_MAX,
    statementMsMax = STATEMENT_MS_MAX,
  }: DatabasePoolOptions,
): Pool {
  const pool = new Pool({
    ...connectionOptions(access, name),
    max: connectionsMax,
    // Somebody waits: neither for a connection may it take longer than for the statement on it.
    connectionTimeoutMillis: Math.min(CONNECT_MS_MAX, statementMsMax),
    statement_timeout: statementMsMax,
    query_timeout: answerMsMax(statementMsMax),
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS_MAX,
  });
  const isNews = createRepeatFilter();
  // A connection that nobody uses at the moment has failed. Without a listener this would end the process.
  pool.on('error', ({ message }) => {
    if (isNews(message))
      logger.warn({ err: message, addr: databaseAddress(access) }, 'database connection');
  });
  return pool;
}

/**
 * Runs `use` with a connection of its own and closes it. Throws what `use` throws, or why there is no connection: a
 * UserError when PostgreSQL does not let this process in.
 */
export async function withDatabase<T>(
  access: DatabaseAccess,
  name: string,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client({
    ...connectionOptions(access, name),
    query_timeout: answerMsMax(STATEMENT_MS_MAX),
  });
  // What breaks the connection ends the statement under way, if there is one.
  client.on('error', () => undefined);
  try {
    await client.connect().catch(throwRefusal);
    return await use(client);
  } finally {
    await within(client.end(), CLOSE_MS_MAX, 'closing the database').catch(() => undefined);
  }
}

interface DatabasePoolOptions {
  readonly name: string;
  readonly logger: Logger;
  readonly connectionsMax?: number;
  /** Milliseconds. */
  readonly statementMsMax?: number;
}

/** For a pool, and for a client of its own where a statement may take long. */
export function connectionOptions(access: DatabaseAccess, name: string): PoolConfig {
  const { host, port, database, user, password, tls } = access;
  return {
    host,
    port,
    database,
    user,
    // Else the library looks for one in the environment.
    password: () => password?.reveal() ?? '',
    ssl: tls
      ? {
          ...(tls.ca !== undefined && { ca: tls.ca }),
          ...(tls.client && { cert: tls.client.cert, key: tls.client.key.reveal() }),
        }
      : false,
    application_name: `flash-sale ${name}`,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
  };
}

const PING_MS_MAX = 2_000;

/** Throws a UserError when PostgreSQL does not let this process in. */
export async function pingDatabase(pool: Pool): Promise<void> {
  await within(pool.query('select 1'), PING_MS_MAX, 'a query').catch(throwRefusal);
}

function throwRefusal(error: unknown): never {
  if (!REFUSALS.has(errorCode(error))) throw error;
  const { message } = error as Error;
  throw new UserError(`PostgreSQL refuses this process: ${message}`, { cause: error });
}

/** The role or its password is wrong, it may not connect, or there is no such database. */
const REFUSALS: ReadonlySet<unknown> = new Set(['28000', '28P01', '42501', '3D000']);

/** Lets the statements under way end. A shutdown does not wait for a server that is away. */
export async function closeDatabasePool(pool: Pool): Promise<void> {
  await within(pool.end(), CLOSE_MS_MAX, 'closing the database').catch(() => undefined);
}
