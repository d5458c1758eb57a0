import { loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import { describeError } from '../user-error';
import { Secret, type Reader } from './reader';

/** A client's TLS settings. Texts are PEM; an absent authority means the system's. */
export interface TlsAccess {
  /** The authority that signed the server's certificate. */
  readonly ca: string | undefined;
  /** The client's certificate and key, where the server asks for one. */
  readonly client: { readonly cert: string; readonly key: Secret } | undefined;
  /** The name in the server's certificate, where it differs from the address. */
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

type ConnectionOptions = ReturnType<typeof toClientOptions>['connectionOptions'];

/** How to reach Temporal, as the variables of the `temporal` command or a profile of its file say. */
export interface TemporalAccess {
  /** host:port of the frontend */
  readonly address: string;
  readonly namespace: string;
  /** Certificates, key, API key and metadata, in the form that both clients take; undefined when there are none. */
  readonly security?: Secret<Pick<ConnectionOptions, 'tls' | 'apiKey' | 'metadata'>> | undefined;
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
    tls: readTls(read, 'REDIS_TLS'),
  };
}

export function readKafkaAccess(read: Reader): KafkaAccess {
  return {
    addrs: read.addresses('KAFKA_ADDR'),
    tls: readTls(read, 'KAFKA_TLS'),
    sasl: readSasl(read),
  };
}

/** Without the switch `REDIS_TLS` or `KAFKA_TLS` the other settings are an error: they would protect nothing. */
function readTls(read: Reader, name: 'REDIS_TLS' | 'KAFKA_TLS'): TlsAccess | undefined {
  const ca = read.content(`${name}_CA`);
  const cert = read.content(`${name}_CERT`);
  const key = read.secret(`${name}_KEY`);
  const serverName = read.optional(`${name}_SERVER_NAME`);
  if (!read.flag(name)) {
    if (ca ?? cert ?? key ?? serverName) read.fail(`${name}_* are set without ${name}=true`);
    return undefined;
  }
  if ((cert === undefined) !== (key === undefined)) {
    read.fail(`${name}_CERT and ${name}_KEY belong together: one of them is missing`);
  }
  const client = cert !== undefined && key ? { cert, key } : undefined;
  return { ca, client, serverName };
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

/**
 * Reads the variables of the `temporal` command. A file with profiles is read only where TEMPORAL_CONFIG_FILE or
 * TEMPORAL_PROFILE is set, so that a profile in a developer's home for another cluster has no effect here.
 */
export function readTemporalAccess(read: Reader): TemporalAccess {
  const env = temporalVariables(read);
  const disableFile = !env['TEMPORAL_CONFIG_FILE'] && !env['TEMPORAL_PROFILE'];
  try {
    const profile = loadClientConfigProfile({ disableFile, overrideEnvVars: env });
    const { connectionOptions, namespace = 'default' } = toClientOptions(profile);
    const { tls, apiKey, metadata } = connectionOptions;
    const security = {
      ...(tls !== undefined && { tls }),
      ...(apiKey !== undefined && { apiKey }),
      ...(metadata !== undefined && { metadata }),
    };
    return {
      address: profile.address ?? read.address('TEMPORAL_ADDRESS'),
      namespace,
      security: Object.keys(security).length > 0 ? new Secret(security) : undefined,
    };
  } catch (error) {
    // The library's messages name files, profiles and fields, and quote none of their contents.
    read.fail(`TEMPORAL_*: ${describeError(error)}`);
    return { address: '', namespace: '' };
  }
}

/** The supported variables of the `temporal` command that are set. */
function temporalVariables(read: Reader): Record<string, string> {
  const variables: Record<string, string | undefined> = {
    TEMPORAL_ADDRESS: read.optionalAddress('TEMPORAL_ADDRESS'),
    TEMPORAL_API_KEY: read.secret('TEMPORAL_API_KEY')?.reveal(),
  };
  for (const name of TEMPORAL_TEXTS) variables[name] = read.optional(name);
  if (read.optional('TEMPORAL_TLS_DISABLE_HOST_VERIFICATION') !== undefined) {
    read.fail(
      'TEMPORAL_TLS_DISABLE_HOST_VERIFICATION is not honoured: use TEMPORAL_TLS_SERVER_NAME',
    );
  }
  const isSet = (name: string) => variables[`${name}_PATH`] ?? variables[`${name}_DATA`];
  if (!isSet('TEMPORAL_TLS_CLIENT_CERT') !== !isSet('TEMPORAL_TLS_CLIENT_KEY')) {
    read.fail('TEMPORAL_TLS_CLIENT_CERT_* and TEMPORAL_TLS_CLIENT_KEY_* belong together');
  }
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

const TEMPORAL_TEXTS = [
  'TEMPORAL_NAMESPACE',
  'TEMPORAL_TLS',
  'TEMPORAL_TLS_SERVER_CA_CERT_PATH',
  'TEMPORAL_TLS_SERVER_CA_CERT_DATA',
  'TEMPORAL_TLS_CLIENT_CERT_PATH',
  'TEMPORAL_TLS_CLIENT_CERT_DATA',
  'TEMPORAL_TLS_CLIENT_KEY_PATH',
  'TEMPORAL_TLS_CLIENT_KEY_DATA',
  'TEMPORAL_TLS_SERVER_NAME',
  'TEMPORAL_CONFIG_FILE',
  'TEMPORAL_PROFILE',
  // The folders that hold the file of profiles when TEMPORAL_CONFIG_FILE is not set.
  'HOME',
  'XDG_CONFIG_HOME',
] as const;
