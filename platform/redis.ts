import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import type { RedisAccess } from './config/access';
import { createRepeatFilter, type Logger } from './logger';
import { within } from './until';
import { UserError } from './user-error';

/** One Redis, or a Redis Cluster: everything that takes one takes the other. */
export type RedisConnection = Redis | Cluster;

/**
 * How long a command of the gateway may take. Two of them and the Kafka deadline must fit into a hold's lease. A healthy
 * Redis with `appendfsync always` replies in single milliseconds, one with a stalled disk in hundreds.
 */
const FAIL_FAST_COMMAND_MS_MAX = 2_000;

/** Callers that retry can wait longer: a command that is abandoned early only repeats the work. */
const RETRYING_COMMAND_MS_MAX = 5_000;

/**
 * A Cluster client learns who serves a slot only when it asks, or when it asked the wrong node. The refresh bounds how
 * long it looks for a moved slot in the old place. Each refresh costs one connection to one node.
 */
const SLOTS_REFRESH_MS = 2_000;

/** A failover of a Cluster takes seconds. These redirections and pauses follow it for about five. */
const RETRYING_REDIRECTIONS_MAX = 16;
const RETRYING_PAUSE_MS = 300;

/**
 * A connection that fails at once instead of queueing commands, for the gateway, whose client waits. A command that is
 * in flight when the connection breaks is not sent again; its timeout ends it.
 */
export function connectFailFastRedis(access: RedisAccess, logger: Logger): RedisConnection {
  return connect(access, logger, {
    offlineQueue: false,
    node: {
      commandTimeout: FAIL_FAST_COMMAND_MS_MAX,
      maxRetriesPerRequest: 1,
      autoResendUnfulfilledCommands: false,
      // READONLY means that the node was the master. A new connection to the address leads to the new master.
      reconnectOnError: (error) => isReadOnly(error),
    },
    // 0 passes the error to the caller at once. A redirection is no error and costs one round trip.
    cluster: { retryDelayOnFailover: 0, retryDelayOnClusterDown: 0, maxRedirections: 3 },
  });
}

/** A connection that waits for Redis to come back and sends again what was in flight: every script may run twice. */
export function connectRetryingRedis(access: RedisAccess, logger: Logger): RedisConnection {
  return connect(access, logger, {
    offlineQueue: true,
    node: {
      commandTimeout: RETRYING_COMMAND_MS_MAX,
      maxRetriesPerRequest: 5,
      reconnectOnError: (error) => isReadOnly(error) && RECONNECT_AND_RESEND,
    },
    cluster: {
      retryDelayOnFailover: RETRYING_PAUSE_MS,
      retryDelayOnClusterDown: RETRYING_PAUSE_MS,
      maxRedirections: RETRYING_REDIRECTIONS_MAX,
    },
  });
}

const RECONNECT_AND_RESEND = 2;

/** The form in which replies arrive is the library's default, so these options are left out. */
type NodeOptions = Omit<RedisOptions, 'replyMapping' | 'himportFieldsets'>;

interface ConnectionOptions {
  /** Whether commands wait until there is a connection. */
  readonly offlineQueue: boolean;
  readonly node: NodeOptions;
  readonly cluster: ClusterOptions;
}

function connect(
  access: RedisAccess,
  logger: Logger,
  { offlineQueue, node, cluster }: ConnectionOptions,
): RedisConnection {
  const redis = open(access, {
    offlineQueue,
    lazy: false,
    // Reconnects within a second of Redis's return, however long it was away.
    retry: (attempt) => Math.min(50 * attempt, 1_000),
    node: { connectTimeout: 2_000, ...node },
    cluster: { slotsRefreshInterval: SLOTS_REFRESH_MS, ...cluster },
  });
  const isNews = createRepeatFilter();
  redis.on('error', (error: Error) => {
    if (!isNews(error.message)) return;
    logger.warn({ err: error.message, addr: access.addrs.join(',') }, 'redis connection');
  });
  redis.on('node error', (error: Error, addr: string) => {
    if (!isNews(`${addr} ${error.message}`)) return;
    logger.warn({ err: error.message, addr }, 'redis node connection');
  });
  // By default a node is connected by its first command, which at the gateway would be a purchase.
  redis.on('+node', (node: Redis) => {
    if (node.status === 'wait' && !node.options.readOnly) void Promise.allSettled([node.connect()]);
  });
  return redis;
}

/** Throws a UserError when Redis refuses the credentials of this process. */
export async function pingRedis(redis: RedisConnection): Promise<void> {
  try {
    await within(redis.ping(), PING_MS_MAX, 'PING');
  } catch (error) {
    const { message } = error as Error;
    if (!/^(NOAUTH|WRONGPASS|NOPERM)/.test(message)) throw error;
    throw new UserError(`Redis refuses this process: ${message}`, { cause: error });
  }
}

const PING_MS_MAX = 1_000;
const QUIT_MS_MAX = 1_000;

/** Lets the commands under way end. A connection to a Redis that is away has none and is cut: a shutdown need not wait. */
export async function closeRedis(redis: RedisConnection): Promise<void> {
  if (redis.status === 'ready') {
    await within(redis.quit(), QUIT_MS_MAX, 'QUIT').catch(() => undefined);
  }
  redis.disconnect();
}

const ONE_OFF_CONNECT_MS_MAX = 2_000;

/**
 * Runs `use` with a connection of its own and closes it. The connection fails at once when no server is there. `access`
 * may be a plain host:port. Throws what `use` throws, or RedisUnreachable when there is no connection.
 */
export async function withRedis<T>(
  access: RedisAccess | string,
  use: (redis: RedisConnection) => Promise<T>,
): Promise<T> {
  const redis = open(typeof access === 'string' ? { addrs: [access] } : access, {
    lazy: true,
    offlineQueue: true,
    retry: () => null,
    node: {
      connectTimeout: ONE_OFF_CONNECT_MS_MAX,
      commandTimeout: RETRYING_COMMAND_MS_MAX,
      maxRetriesPerRequest: 0,
    },
    cluster: { maxRedirections: 3 },
  });
  // connect() rejects with "connection is closed"; only these events carry the reason.
  let reason: Error | undefined;
  const keepReason = (error: Error) => {
    reason = error;
  };
  redis.on('error', keepReason).on('node error', keepReason);
  // A Cluster that reports itself as down ends the connection without an error.
  const ended = new Promise<never>((_, reject) => {
    redis.once('end', () => {
      reject(new Error('the connection has ended'));
    });
  });
  try {
    await Promise.race([redis.connect(), ended]).catch((error: unknown) => {
      const at = typeof access === 'string' ? access : access.addrs.join(', ');
      throw new RedisUnreachable(`Cannot reach Redis at ${at}`, { cause: reason ?? error });
    });
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

/** No Redis replies at the address. */
export class RedisUnreachable extends Error {
  override readonly name = 'RedisUnreachable';
}

function open(
  { addrs, cluster: isCluster, username, password, tls }: RedisAccess,
  {
    offlineQueue,
    node,
    cluster,
    lazy,
    retry,
  }: ConnectionOptions & {
    readonly lazy: boolean;
    readonly retry: (attempt: number) => number | null;
  },
): RedisConnection {
  const nodeOptions: NodeOptions = {
    ...node,
    ...(username !== undefined && { username }),
    ...(password && { password: password.reveal() }),
    ...(tls && { tls: tlsOptions(tls) }),
  };
  const [first, ...others] = addrs.map(hostAndPort);
  if (!isCluster) {
    return new Redis({
      ...first,
      ...nodeOptions,
      enableOfflineQueue: offlineQueue,
      lazyConnect: lazy,
      retryStrategy: retry,
    });
  }
  return new Cluster(first ? [first, ...others] : [], {
    ...cluster,
    redisOptions: nodeOptions,
    enableOfflineQueue: offlineQueue,
    lazyConnect: lazy,
    clusterRetryStrategy: retry,
    // The certificates of a Cluster name its hosts, and a look-up would replace the names by addresses.
    ...(tls && {
      dnsLookup: (host, callback) => {
        callback(null, host);
      },
    }),
  });
}

/** An empty object means TLS with the system's authorities. */
function tlsOptions({ ca, client, serverName }: NonNullable<RedisAccess['tls']>) {
  return {
    ...(ca !== undefined && { ca }),
    ...(client && { cert: client.cert, key: client.key.reveal() }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}

function hostAndPort(addr: string) {
  const separator = addr.lastIndexOf(':');
  return { host: addr.slice(0, separator), port: Number(addr.slice(separator + 1)) };
}

/** Also true where a script got READONLY in the middle. */
function isReadOnly(error: Error): boolean {
  return error.message.includes('READONLY You can');
}

/** The durability that the stock needs of its Redis, and what is lost with less. */
export const DURABLE_SETTINGS = {
  appendonly: { value: 'yes', without: 'a restart forgets every order and all stock' },
  appendfsync: { value: 'always', without: 'a crash can forget orders that were answered 202' },
  'maxmemory-policy': { value: 'noeviction', without: 'a full Redis drops orders and claims' },
} as const;

/**
 * Checks Redis's durability settings each time a connection is made, because Redis may come back with other settings; in
 * a Cluster at every node that takes writes. Weaker settings are a warning, in production an error for `refuse`. A
 * server that does not tell its settings (managed ones often forbid CONFIG) is a warning.
 */
export function watchRedisDurability(
  redis: RedisConnection,
  options: { production: boolean; logger: Logger; refuse: (error: Error) => void },
): void {
  const { production, logger, refuse } = options;
  const check = async (node: Redis) => {
    const settings = await findWeakerSettings(node);
    if (settings.length === 0) return;
    const weaker = settings.map(
      ({ name, found, value, without }) => `${name} is ${found}, not ${value}: ${without}`,
    );
    const addr = addrOf(node);
    if (production) {
      refuse(new Error(`Redis at ${addr} is not durable enough: ${weaker.join('; ')}`));
    } else {
      logger.warn({ addr, weaker }, 'Redis is not durable');
    }
  };
  const watch = (node: Redis) => {
    const checkOrWarn = () => {
      check(node).catch((error: unknown) => {
        logger.warn(
          { err: error, addr: addrOf(node) },
          'the durability of Redis is unknown, because it does not tell its settings',
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

/** The address of one server, as messages show it. */
export function addrOf({ options }: Redis): string {
  return `${options.host ?? ''}:${String(options.port ?? '')}`;
}

/** The settings of one server that are weaker than the stock needs. Throws where a server does not tell its settings. */
export async function findWeakerSettings(redis: Redis) {
  // CONFIG GET replies name, value, name, value ...
  const reply = (await redis.config('GET', ...Object.keys(DURABLE_SETTINGS))) as readonly string[];
  return Object.entries(DURABLE_SETTINGS).flatMap(([name, { value, without }]) => {
    const at = reply.findIndex((text, i) => i % 2 === 0 && text === name);
    const found = at < 0 ? 'unknown' : String(reply[at + 1]);
    return found === value ? [] : [{ name, found, value, without }];
  });
}
