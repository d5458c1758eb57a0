import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import type { RedisAccess } from './config/access';
import type { Logger } from './logger';

/** One Redis, or a Redis Cluster: everything that takes one takes the other. */
export type RedisConnection = Redis | Cluster;

/**
 * How long a command may take at the door, in ms. Two of them and the Kafka deadline must fit into a hold's lease.
 * A healthy Redis with `appendfsync always` answers in single milliseconds, a stalled disk in hundreds.
 */
const DOOR_COMMAND_MS_MAX = 2_000;

/** Workers can wait: their callers retry, and a try that is given up early only repeats the work. */
const PATIENT_COMMAND_MS_MAX = 5_000;

/**
 * A Cluster tells who serves a slot only when asked, or when somebody was wrong. Asking this often bounds how long a
 * slot that has moved is looked for in its old place; each time costs one connection to one node.
 */
const SLOTS_REFRESH_MS = 2_000;

/** A failover takes a Cluster some seconds; with the pause between, a patient command follows it for about five. */
const PATIENT_REDIRECTIONS_MAX = 16;
const PATIENT_PAUSE_MS = 300;

/**
 * A connection that fails fast instead of queueing: for the gateway, whose client waits. A command that is in
 * flight when the connection breaks is not sent again; its timeout ends it.
 */
export function connectDoorRedis(access: RedisAccess, logger: Logger): RedisConnection {
  return connect(access, logger, {
    offlineQueue: false,
    node: {
      commandTimeout: DOOR_COMMAND_MS_MAX,
      maxRetriesPerRequest: 1,
      autoResendUnfulfilledCommands: false,
      // Whoever is told READONLY talks to a master that was: the address leads to the new one after a new connect.
      reconnectOnError: (error) => isReadOnly(error),
    },
    // 0 gives the fault to the caller at once. A redirection is no fault, and costs a round trip.
    cluster: { retryDelayOnFailover: 0, retryDelayOnClusterDown: 0, maxRedirections: 3 },
  });
}

/** A connection that waits for Redis to come back and sends again what was in flight: every script may run twice. */
export function connectPatientRedis(access: RedisAccess, logger: Logger): RedisConnection {
  return connect(access, logger, {
    offlineQueue: true,
    node: {
      commandTimeout: PATIENT_COMMAND_MS_MAX,
      maxRetriesPerRequest: 5,
      reconnectOnError: (error) => isReadOnly(error) && RECONNECT_AND_RESEND,
    },
    cluster: {
      retryDelayOnFailover: PATIENT_PAUSE_MS,
      retryDelayOnClusterDown: PATIENT_PAUSE_MS,
      maxRedirections: PATIENT_REDIRECTIONS_MAX,
    },
  });
}

const RECONNECT_AND_RESEND = 2;

const ONE_OFF_CONNECT_MS_MAX = 2_000;

/**
 * Runs `use` with a connection of its own, which fails at once instead of waiting for a server that is not there, and
 * closes it. `access` may be a mere host:port. Throws what `use` throws, or a RedisUnreachable when there is nothing to
 * connect to.
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
      commandTimeout: PATIENT_COMMAND_MS_MAX,
      maxRetriesPerRequest: 0,
    },
    cluster: { maxRedirections: 3 },
  });
  // connect() rejects with "connection is closed"; the reason comes only as this event.
  let reason: Error | undefined;
  redis.on('error', (error: Error) => {
    reason = error;
  });
  redis.on('node error', (error: Error) => {
    reason = error;
  });
  // A Cluster that is found, but says of itself that it is down, ends without another word.
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

/** Nothing answers at the address. */
export class RedisUnreachable extends Error {
  override readonly name = 'RedisUnreachable';
}

/** Whether a command's answer comes as RESP3's types is the library's default, and no business of ours. */
type NodeOptions = Omit<RedisOptions, 'replyMapping' | 'himportFieldsets'>;

interface Manner {
  /** Whether commands wait for a connection that is not there yet. */
  readonly offlineQueue: boolean;
  readonly node: NodeOptions;
  readonly cluster: ClusterOptions;
}

function connect(access: RedisAccess, logger: Logger, manner: Manner): RedisConnection {
  const redis = open(access, {
    ...manner,
    lazy: false,
    // Reconnect within a second of its return, however long it was away.
    retry: (attempt) => Math.min(50 * attempt, 1_000),
    node: { connectTimeout: 2_000, ...manner.node },
    cluster: { slotsRefreshInterval: SLOTS_REFRESH_MS, ...manner.cluster },
  });
  redis.on('error', (error: Error) => {
    logger.warn({ err: error.message, addr: access.addrs.join(',') }, 'redis connection');
  });
  redis.on('node error', (error: Error, addr: string) => {
    logger.warn({ err: error.message, addr }, 'redis node connection');
  });
  // A node is otherwise connected by its first command, which at the door must not be somebody's order.
  redis.on('+node', (node: Redis) => {
    if (node.status === 'wait' && !node.options.readOnly) void Promise.allSettled([node.connect()]);
  });
  return redis;
}

function open(
  access: RedisAccess,
  manner: Manner & {
    readonly lazy: boolean;
    readonly retry: (attempt: number) => number | null;
  },
): RedisConnection {
  const { username, password, tls } = access;
  const node: NodeOptions = {
    ...manner.node,
    ...(username !== undefined && { username }),
    ...(password && { password: password.reveal() }),
    ...(tls && { tls: tlsOptions(tls) }),
  };
  const [first, ...others] = access.addrs.map(hostAndPort);
  if (!access.cluster) {
    return new Redis({
      ...first,
      ...node,
      enableOfflineQueue: manner.offlineQueue,
      lazyConnect: manner.lazy,
      retryStrategy: manner.retry,
    });
  }
  return new Cluster(first ? [first, ...others] : [], {
    ...manner.cluster,
    redisOptions: node,
    enableOfflineQueue: manner.offlineQueue,
    lazyConnect: manner.lazy,
    clusterRetryStrategy: manner.retry,
    // The certificates of a Cluster name its hosts, which a look-up would turn into addresses.
    ...(tls && {
      dnsLookup: (host, callback) => {
        callback(null, host);
      },
    }),
  });
}

/** An empty object is TLS by the system's authorities. */
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

/** Also where a script was told so in the middle. */
function isReadOnly(error: Error): boolean {
  return error.message.includes('READONLY You can');
}
