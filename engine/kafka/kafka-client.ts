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
import type { Logger } from '../../platform/logger';
import { changeLibrary } from './kafkajs-internals';

/**
 * A client whose requests give up early. With the library's 30 s a stopped broker costs 20 s without an
 * acknowledgement, with 3 s it costs 3 to 9. Mere addresses mean a broker without TLS and SASL. `logger` absent: silent.
 */
export function createKafka(
  clientId: string,
  access: KafkaAccess | readonly string[],
  logger?: Logger,
): Kafka {
  changeLibrary();
  const { addrs, tls, sasl }: KafkaAccess = 'addrs' in access ? access : { addrs: access };
  return new Kafka({
    clientId,
    brokers: [...addrs],
    ...(tls && { ssl: tlsOptions(tls) }),
    ...(sasl && { sasl: saslOptions(sasl), authenticationTimeout: 3_000 }),
    // A TLS handshake is part of it, and costs a busy broker its time.
    connectionTimeout: tls ? 3_000 : 1_000,
    requestTimeout: 3_000,
    retry: { initialRetryTime: 100, maxRetryTime: 1_000 },
    socketFactory: openSocket,
    logLevel: logger ? logLevel.INFO : logLevel.NOTHING,
    ...(logger && { logCreator: () => logTo(logger) }),
  });
}

/**
 * The library's own sockets, but without Nagle's algorithm: with it, a request waits in the kernel until the broker has
 * acknowledged the one before it, though batches for several partitions share a connection in order to be under way at
 * the same time.
 */
const openSocket = ({ host, port, ssl, onConnect }: SocketRequest) => {
  const socket = ssl
    ? connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...ssl }, onConnect)
    : connect({ host, port }, onConnect);
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
};

/** What the library asks for; its types do not say that there is no `ssl` without TLS. */
interface SocketRequest extends Omit<ISocketFactoryArgs, 'ssl'> {
  readonly ssl: ISocketFactoryArgs['ssl'] | undefined;
}

/** After a minute of silence, as the library has it. */
const KEEP_ALIVE_MS = 60_000;

/** Where a Kafka is, for people. */
export function addressesOf(access: KafkaAccess | readonly string[]): string {
  return ('addrs' in access ? access.addrs : access).join(',');
}

function tlsOptions({ ca, client, serverName }: NonNullable<KafkaAccess['tls']>) {
  return {
    ...(ca !== undefined && { ca: [ca] }),
    ...(client && { cert: client.cert, key: client.key.reveal() }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}

function saslOptions({ mechanism, ...rest }: NonNullable<KafkaAccess['sasl']>): SASLOptions {
  const credentials = { username: rest.username, password: rest.password.reveal() };
  switch (mechanism) {
    case 'PLAIN':
      return { mechanism: 'plain', ...credentials };
    case 'SCRAM-SHA-256':
      return { mechanism: 'scram-sha-256', ...credentials };
    case 'SCRAM-SHA-512':
      return { mechanism: 'scram-sha-512', ...credentials };
  }
}

/** Milliseconds the broker may wait for its replicas; below the request's timeout, so that its answer still arrives. */
export const REPLICATION_MS_MAX = 2_000;

/**
 * A producer for one `send()` at a time per partition. Not idempotent: with several requests in flight and one lost
 * answer, the library's idempotence reports records as written that never were. Repetitions are absorbed by the workflow id.
 */
export function createProducer(kafka: Kafka): Producer {
  return kafka.producer({
    idempotent: false,
    allowAutoTopicCreation: false,
    // The caller retries; one inner try only spares a round trip after a leader has moved.
    retry: { retries: 1 },
    // A moved leader is not looked up again after mere timeouts, so the metadata must age by itself.
    metadataMaxAge: 3_000,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
}

/**
 * The library calls an error what it then retries by itself; what it gives up on reaches us as a rejection or as a
 * crash event and is logged there. So its levels are lowered by one.
 */
function logTo(logger: Logger) {
  const child = logger.child({ lib: 'kafkajs' });
  return ({ namespace, level, log }: LogEntry) => {
    const { message, error, groupId, broker } = log as { message: string } & Record<
      string,
      unknown
    >;
    const text = namespace === '' ? message : `${namespace}: ${message}`;
    const fields = { error, groupId, broker };
    switch (level) {
      case logLevel.ERROR:
        child.warn(fields, text);
        break;
      case logLevel.WARN:
        child.info(fields, text);
        break;
      case logLevel.INFO:
      case logLevel.DEBUG:
        child.debug(fields, text);
        break;
      case logLevel.NOTHING:
        break;
    }
  };
}
