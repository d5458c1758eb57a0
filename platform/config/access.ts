import type { Reader } from './reader';
import type { Secret } from './secret';

/** TLS as a client sees it. Texts are PEM; what is absent is the system's or nothing. */
export interface TlsAccess {
  /** The authority that signed the server's certificate. */
  readonly ca: string | undefined;
  /** Our own certificate and its key, where the server asks for one. */
  readonly client: { readonly cert: string; readonly key: Secret } | undefined;
  /** The name in the server's certificate, where it is not the address. */
  readonly serverName: string | undefined;
}

/** How to reach a Redis, or with `cluster` a Redis Cluster by any of its nodes. */
export interface RedisAccess {
  /** host:port */
  readonly addrs: readonly string[];
  readonly cluster?: boolean;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  readonly tls?: TlsAccess | undefined;
}

export const SASL_MECHANISMS = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const;

export interface KafkaAccess {
  /** host:port */
  readonly addrs: readonly string[];
  readonly tls?: TlsAccess | undefined;
  readonly sasl?:
    | {
        readonly mechanism: (typeof SASL_MECHANISMS)[number];
        readonly username: string;
        readonly password: Secret;
      }
    | undefined;
}

export function readRedisAccess(read: Reader): RedisAccess {
  const addrs = read.addresses('REDIS_ADDR');
  const cluster = read.flag('REDIS_CLUSTER');
  if (addrs.length > 1 && !cluster) {
    read.fail('REDIS_ADDR has several addresses: for a Redis Cluster set REDIS_CLUSTER=true');
  }
  return {
    addrs,
    cluster,
    username: read.optional('REDIS_USERNAME'),
    password: read.secret('REDIS_PASSWORD'),
    tls: readTls(read, 'REDIS_TLS', {
      on: read.flag('REDIS_TLS'),
      ca: read.content('REDIS_TLS_CA'),
      cert: read.content('REDIS_TLS_CERT'),
      key: read.secret('REDIS_TLS_KEY'),
      serverName: read.optional('REDIS_TLS_SERVER_NAME'),
    }),
  };
}

export function readKafkaAccess(read: Reader): KafkaAccess {
  return {
    addrs: read.addresses('KAFKA_ADDR'),
    tls: readTls(read, 'KAFKA_TLS', {
      on: read.flag('KAFKA_TLS'),
      ca: read.content('KAFKA_TLS_CA'),
      cert: read.content('KAFKA_TLS_CERT'),
      key: read.secret('KAFKA_TLS_KEY'),
      serverName: read.optional('KAFKA_TLS_SERVER_NAME'),
    }),
    sasl: readSasl(read),
  };
}

function readSasl(read: Reader): KafkaAccess['sasl'] {
  const mechanism = read.oneOf('KAFKA_SASL_MECHANISM', 'none', ['none', ...SASL_MECHANISMS]);
  const username = read.optional('KAFKA_SASL_USERNAME');
  const password = read.secret('KAFKA_SASL_PASSWORD');
  if (mechanism === 'none') {
    if (username ?? password) read.fail('KAFKA_SASL_* are set without KAFKA_SASL_MECHANISM');
    return undefined;
  }
  if (username === undefined) read.fail(`KAFKA_SASL_USERNAME is required with ${mechanism}`);
  if (password === undefined) read.fail(`KAFKA_SASL_PASSWORD is required with ${mechanism}`);
  return username !== undefined && password ? { mechanism, username, password } : undefined;
}

interface TlsParts {
  readonly on: boolean;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: Secret | undefined;
  readonly serverName: string | undefined;
}

/** `name` is the switch. Settings beside a switch that is off would be believed to protect something. */
function readTls(read: Reader, name: string, parts: TlsParts): TlsAccess | undefined {
  const { on, ca, cert, key, serverName } = parts;
  if (!on) {
    if (ca ?? cert ?? key ?? serverName) read.fail(`${name}_* are set without ${name}=true`);
    return undefined;
  }
  if ((cert === undefined) !== (key === undefined)) {
    read.fail(`${name}_CERT and ${name}_KEY belong together: one of them is missing`);
  }
  const client = cert !== undefined && key ? { cert, key } : undefined;
  return { ca, client, serverName };
}
