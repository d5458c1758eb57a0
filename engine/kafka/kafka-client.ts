import { createRequire } from 'node:module';
import { connect, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import {
  Kafka,
  logLevel,
  Partitioners,
  type ISocketFactoryArgs,
  type LogEntry,
  type Producer,
  type SASLOptions,
} from 'kafkajs';
import type { KafkaAccess } from '../../platform/config/access';
import { createRepeatFilter, type Logger } from '../../platform/logger';
import { invariant } from '../orders/invariant';
import { encodePlainBatches } from './record-batch';

/**
 * A client whose requests time out early: with kafkajs's 30 s a stopped broker stops acknowledgements for 20 s, with
 * 3 s for 3 to 9 s. Plain addresses mean a broker without TLS and SASL. Without `logger` the client is silent.
 */
export function createKafka(
  clientId: string,
  access: KafkaAccess | readonly string[],
  logger?: Logger,
): Kafka {
  patchKafkajs();
  const { addrs, tls, sasl }: KafkaAccess = 'addrs' in access ? access : { addrs: access };
  return new Kafka({
    clientId,
    brokers: [...addrs],
    ...(tls && { ssl: tlsOptions(tls) }),
    ...(sasl && { sasl: saslOptions(sasl), authenticationTimeout: 3_000 }),
    // A TLS handshake counts as part of the connection, and costs a busy broker its time.
    connectionTimeout: tls ? 3_000 : 1_000,
    requestTimeout: 3_000,
    retry: { initialRetryTime: 100, maxRetryTime: 1_000 },
    socketFactory: openSocket,
    logLevel: logger ? logLevel.INFO : logLevel.NOTHING,
    ...(logger && { logCreator: () => logTo(logger) }),
  });
}

/**
 * A producer for one `send()` at a time per partition. Not idempotent: with several requests under way and one lost
 * answer, kafkajs's idempotence reports records as written that were not. The workflow id absorbs the repetitions.
 */
export function createProducer(kafka: Kafka): Producer {
  return kafka.producer({
    idempotent: false,
    allowAutoTopicCreation: false,
    // The safe producer retries; one retry in here only saves a round trip after a leader has moved.
    retry: { retries: 1 },
    // After a timeout kafkajs does not look up the leader again, so the metadata must expire by itself.
    metadataMaxAge: 3_000,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
}

/** The addresses of a Kafka, as messages show them. */
export function addressesOf(access: KafkaAccess | readonly string[]): string {
  return ('addrs' in access ? access.addrs : access).join(',');
}

/** Its types do not say that `ssl` is absent without TLS. */
type SocketRequest = Omit<ISocketFactoryArgs, 'ssl'> & {
  readonly ssl: ISocketFactoryArgs['ssl'] | undefined;
};

/** kafkajs's own value. */
const KEEP_ALIVE_MS = 60_000;

/**
 * kafkajs's own sockets without Nagle's algorithm. Batches for several partitions share a connection; with Nagle, each
 * request would wait in the kernel until the broker has acknowledged the packet before it.
 */
function openSocket({ host, port, ssl, onConnect }: SocketRequest) {
  const socket = ssl
    ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
    : connect({ host, port }, onConnect);
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
}

function tlsOptions({ ca, client, serverName }: NonNullable<KafkaAccess['tls']>) {
  return {
    ...(ca !== undefined && { ca: [ca] }),
    ...(client && { cert: client.cert, key: client.key.reveal() }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}

const SASL_MECHANISMS = {
  PLAIN: 'plain',
  'SCRAM-SHA-256': 'scram-sha-256',
  'SCRAM-SHA-512': 'scram-sha-512',
} as const;

function saslOptions(sasl: NonNullable<KafkaAccess['sasl']>): SASLOptions {
  const mechanism = SASL_MECHANISMS[sasl.mechanism];
  return { mechanism, username: sasl.username, password: sasl.password.reveal() };
}

/**
 * One level lower than kafkajs logs: it calls an error what it then retries by itself. What it does not retry becomes a
 * rejection or a crash event, and is logged where that is handled.
 */
function logTo(logger: Logger) {
  const child = logger.child({ lib: 'kafkajs' });
  const isNews = createRepeatFilter();
  return ({ namespace, level, log }: LogEntry) => {
    const { error, groupId, broker } = log as Record<string, unknown>;
    const fields = { error, groupId, broker };
    const text = namespace === '' ? log.message : `${namespace}: ${log.message}`;
    const isDebug = level !== logLevel.ERROR && level !== logLevel.WARN;
    if (isDebug || !isNews(`${text} ${String(error)} ${String(broker)}`)) child.debug(fields, text);
    else if (level === logLevel.ERROR) child.warn(fields, text);
    else child.info(fields, text);
  };
}

/** The version whose internals were read and measured. */
const KAFKAJS_VERSION = '2.2.4';

let isPatched = false;

/** Replaces two costly parts of kafkajs, once per process. Throws for any other version. */
function patchKafkajs(): void {
  if (isPatched) return;
  const load = createRequire(__filename);
  const { version } = load('kafkajs/package.json') as { version: string };
  invariant(
    version === KAFKAJS_VERSION,
    `kafkajs is ${version}, but ${KAFKAJS_VERSION} was checked`,
  );
  const queue = load('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  queue.prototype.scheduleCheckPendingRequests = scheduleCheckPendingRequests;
  encodePlainBatches(load);
  isPatched = true;
}

interface RequestQueue {
  readonly pending: readonly unknown[];
  /** Milliseconds since the epoch; in the past when the broker does not throttle this client. */
  readonly throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests: () => void;
  scheduleCheckPendingRequests: (this: RequestQueue) => void;
}

/** kafkajs's own interval between two looks at a queue with requests in it. */
const CHECK_PENDING_MS = 10;

/**
 * Sets a timer only while a request waits or the broker throttles. In kafkajs each connection re-arms a 1 ms timer for
 * ever after its first request, which costs 6 % of a core.
 */
function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null) return;
  const throttledMs = this.throttledUntil - Date.now();
  if (throttledMs <= 0 && this.pending.length === 0) return;
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    Math.max(throttledMs, CHECK_PENDING_MS),
  );
}
