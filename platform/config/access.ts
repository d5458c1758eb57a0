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

/** How to reach PostgreSQL. */
export interface DatabaseAccess {
  /** A name, an address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: Secret | undefined;
  readonly tls: TlsAccess | undefined;
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
  const certificates = readCertificates(read, name);
  const serverName = read.optional(`${name}_SERVER_NAME`);
  if (!read.flag(name)) {
    if (certificates.areSet || serverName) read.fail(`${name}_* are set without ${name}=true`);
    return undefined;
  }
  return { ca: certificates.ca, client: certificates.client, serverName };
}

function readCertificates(read: Reader, name: string) {
  const ca = read.content(`${name}_CA`);
  const cert = read.content(`${name}_CERT`);
  const key = read.secret(`${name}_KEY`);
  if ((cert === undefined) !== (key === undefined)) {
    read.fail(`${name}_CERT and ${name}_KEY belong together: one of them is missing`);
  }
  return {
    areSet: (ca ?? cert ?? key) !== undefined,
    ca,
    client: cert !== undefined && key ? { cert, key } : undefined,
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

const POSTGRES_PORT = 5432;

/** Whether what is sent to it stays on this machine: loopback, or the folder of a unix socket. */
export function isLocalHost(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1|\/.*)$/.test(host);
}

/**
 * Reads DATABASE_URL, as libpq writes it. TLS always checks the server's certificate and name. It is on by default, except
 * to this machine; `?sslmode=disable` turns it off, which production refuses. No message quotes the URL: it holds a password.
 */
export function readDatabaseAccess(read: Reader, production: boolean): DatabaseAccess | undefined {
  const text = read.secret('DATABASE_URL')?.reveal();
  const certificates = readCertificates(read, 'DATABASE_TLS');
  if (text === undefined) {
    if (certificates.areSet) read.fail('DATABASE_TLS_* are set without DATABASE_URL');
    return undefined;
  }
  const parts = parseDatabaseUrl(text);
  if (!parts) {
    read.fail(
      'DATABASE_URL must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password percent-encoded',
    );
    return NO_DATABASE;
  }
  const { parameters, ...server } = parts;
  for (const name of parameters.keys()) {
    if (name !== 'sslmode') read.fail(`DATABASE_URL: the parameter ${name} is not supported`);
  }
  const isLocal = isLocalHost(server.host);
  const mode = parameters.get('sslmode') ?? (isLocal ? 'disable' : 'verify-full');
  if (mode === 'disable') {
    if (certificates.areSet) read.fail('DATABASE_TLS_* are set, and DATABASE_URL uses no TLS');
    if (production && !isLocal) {
      read.fail('DATABASE_URL: sslmode=disable is refused when ENGINE_MODE is production');
    }
    return { ...server, tls: undefined };
  }
  if (!VERIFYING_MODES.includes(mode)) {
    read.fail(`DATABASE_URL: sslmode must be disable or verify-full, not "${mode}"`);
  }
  return {
    ...server,
    tls: { ca: certificates.ca, client: certificates.client, serverName: undefined },
  };
}

/** Providers write `require` into the URLs that they give out. It is read as the strictest mode. */
const VERIFYING_MODES = ['require', 'verify-ca', 'verify-full'];

/** The same for a process that cannot do without it. */
export function requireDatabaseAccess(read: Reader, production: boolean): DatabaseAccess {
  const access = readDatabaseAccess(read, production);
  if (!access) read.fail('DATABASE_URL is required');
  return access ?? NO_DATABASE;
}

/** How messages name a database; never its password. */
export function databaseAddress({ host, port, database }: DatabaseAccess): string {
  return `${host}:${String(port)}/${database}`;
}

/** Stands where there is a problem, so that no caller sees it. */
const NO_DATABASE: DatabaseAccess = {
  host: '',
  port: POSTGRES_PORT,
  database: '',
  user: '',
  password: undefined,
  tls: undefined,
};

/** Undefined where it is no such URL, or names no user, host or database. */
function parseDatabaseUrl(text: string) {
  if (!/^postgres(ql)?:/.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  try {
    const user = decodeURIComponent(url.username);
    const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
    const database = decodeURIComponent(url.pathname.slice(1));
    if (user === '' || host === '' || database === '') return undefined;
    const password = decodeURIComponent(url.password);
    return {
      host,
      port: url.port === '' ? POSTGRES_PORT : Number(url.port),
      database,
      user,
      password: password === '' ? undefined : new Secret(password),
      parameters: url.searchParams,
    };
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
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
