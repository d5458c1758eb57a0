import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  loadDatabaseAccess,
  loadKafkaAccess,
  loadPayments,
  loadRedisAccess,
  loadTemporalAccess,
} from '../config';
import { describeError, UserError } from '../user-error';
import { databaseAddress, type DatabaseAccess } from './access';
import { readBuyerAuth } from './buyer-auth';
import { createReader, type Env } from './reader';

/** What the command line talks to: the variable that names its address, and where `npm start` puts it by default. */
export const ADDRESSES = {
  gateway: { variable: 'FLASH_SALE_URL', kind: 'url', standard: 'http://127.0.0.1:8080' },
  admin: { variable: 'FLASH_SALE_ADMIN_URL', kind: 'url', standard: 'http://127.0.0.1:9100' },
  payments: { variable: 'PAYMENT_URL', kind: 'url', standard: 'http://127.0.0.1:8090' },
  temporalUi: { variable: 'TEMPORAL_UI_URL', kind: 'url', standard: 'http://127.0.0.1:8233' },
  redis: { variable: 'REDIS_ADDR', kind: 'addresses', standard: '127.0.0.1:6379' },
  temporal: { variable: 'TEMPORAL_ADDRESS', kind: 'address', standard: '127.0.0.1:7233' },
  kafka: { variable: 'KAFKA_ADDR', kind: 'addresses', standard: '127.0.0.1:19092' },
  /** Without its password. */
  database: { variable: 'DATABASE_URL', kind: 'database', standard: '127.0.0.1:5432' },
} as const;

export type AddressName = keyof typeof ADDRESSES;

/** Where an address comes from, strongest first. */
export type Origin = 'flag' | 'environment' | 'stack file' | 'standard';

/** Options that give an address, with their values. */
type Flags = Partial<Record<AddressName, readonly [string, string | undefined]>>;

export interface StackAddresses {
  /** Base URLs without a slash at their end, or host:port; Redis and Kafka may have several, comma-separated. */
  readonly addresses: Readonly<Record<AddressName, string>>;
  readonly origins: Readonly<Record<AddressName, Origin>>;
  /** The stack of this checkout starts, runs or was killed. It writes its addresses once all of it runs. */
  readonly hasStackFile: boolean;
}

/**
 * The addresses of the engine: from the options --url and --admin-url, else the environment, else the file that a running local stack
 * keeps in its data folder, else the standard ones. `root` is the checkout. Throws a UserError for an invalid address.
 */
export function findStackAddresses({
  url,
  adminUrl,
  env,
  root,
}: {
  readonly url?: string | undefined;
  readonly adminUrl?: string | undefined;
  readonly env: Env;
  readonly root: string;
}): StackAddresses {
  const file = join(stackDataDir(env, root), 'stack.json');
  const running = readStackFile(file);
  const flags: Flags = { gateway: ['--url', url], admin: ['--admin-url', adminUrl] };
  const find = (name: AddressName): { address: string; origin: Origin } => {
    const { variable, standard } = ADDRESSES[name];
    const given = env[variable]?.trim() || env[`${variable}_FILE`]?.trim();
    const [option, flag] = flags[name] ?? [];
    if (option !== undefined && flag !== undefined) {
      return { address: checked(name, flag, option), origin: 'flag' };
    }
    if (given && name === 'database') {
      const access = orUserError(() => loadDatabaseAccess(env));
      return { address: databaseAddress(access), origin: 'environment' };
    }
    if (given) return { address: checked(name, given, variable), origin: 'environment' };
    const found = running[name];
    if (typeof found === 'string') {
      return { address: checked(name, found, `"${name}" in ${file}`), origin: 'stack file' };
    }
    return { address: standard, origin: 'standard' };
  };
  const found = eachAddress(find);
  return {
    addresses: eachAddress((name) => found[name].address),
    origins: eachAddress((name) => found[name].origin),
    hasStackFile: existsSync(file),
  };
}

/**
 * The addresses with what it takes to connect to them. Passwords and certificates of the environment belong to the
 * addresses of the environment; the local stack has only one, of its database. `database` is absent where there is none, and
 * `payments` where the ledger is another installation's and its provider is not named: the local simulator does not know the
 * charges of that ledger, and a repair would take them for resolved.
 * Throws a UserError for invalid settings.
 */
export function loadStackAccess({ addresses, origins }: StackAddresses, env: Env, root: string) {
  const hasProfile = Boolean(env['TEMPORAL_PROFILE'] ?? env['TEMPORAL_CONFIG_FILE']);
  const given = (name: AddressName) => origins[name] === 'environment';
  const local: Env = {
    REDIS_ADDR: addresses.redis,
    KAFKA_ADDR: addresses.kafka,
    TEMPORAL_ADDRESS: addresses.temporal,
    TEMPORAL_NAMESPACE: env['TEMPORAL_NAMESPACE'],
  };
  const isElsewhere =
    env['ENGINE_MODE']?.trim() === 'production' || (given('redis') && !given('payments'));
  const payments = () => {
    if (env['PAYMENT_PROVIDER']?.trim()) return loadPayments(env);
    return isElsewhere ? undefined : loadPayments({ PAYMENT_URL: addresses.payments });
  };
  return orUserError(() => ({
    redis: loadRedisAccess(given('redis') ? env : local),
    kafka: loadKafkaAccess(given('kafka') ? env : local),
    temporal: loadTemporalAccess(given('temporal') || hasProfile ? env : local),
    payments: payments(),
    database: given('database') ? loadDatabaseAccess(env) : localDatabase(env, root),
  }));
}

/** The database of the local stack, which writes how to reach it into its data folder. */
function localDatabase(env: Env, root: string): DatabaseAccess | undefined {
  const file = join(stackDataDir(env, root), DATABASE_URL_FILE_NAME);
  return existsSync(file) ? loadDatabaseAccess({ DATABASE_URL_FILE: file }) : undefined;
}

/** The file with the credentials of operators: the one of OPERATORS_FILE, else that of the local stack. */
export function findOperatorsFile(env: Env, root: string): string {
  return env['OPERATORS_FILE']?.trim() || join(stackDataDir(env, root), OPERATORS_FILE_NAME);
}

/** Their names in the data folder of the local stack. */
export const OPERATORS_FILE_NAME = 'operators.json';
export const OPERATOR_TOKEN_FILE_NAME = 'operator-token';
export const DATABASE_URL_FILE_NAME = 'database-url';

/** The token of an operator: the one of FLASH_SALE_OPERATOR_TOKEN, else for the local stack its own. */
export function findOperatorToken(
  { origins }: Pick<StackAddresses, 'origins'>,
  env: Env,
  root: string,
): string | undefined {
  const given = env['FLASH_SALE_OPERATOR_TOKEN']?.trim();
  if (given) return given;
  const file = join(stackDataDir(env, root), OPERATOR_TOKEN_FILE_NAME);
  const isLocal = origins.admin === 'stack file' || origins.admin === 'standard';
  return isLocal && existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

function stackDataDir(env: Env, root: string): string {
  return resolve(root, env['FLASH_SALE_DATA']?.trim() || 'var');
}

/** Whether the person at the terminal allows colours. */
export function allowsColour(env: Env): boolean {
  return !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

/** The engine's names and defaults as its processes read them. Throws a UserError for invalid settings. */
export function loadCommandConfig(env: Env) {
  const read = createReader(env);
  return orUserError(() =>
    read.done({
      namespace: read.text('TEMPORAL_NAMESPACE', 'default'),
      taskQueue: read.text('TASK_QUEUE', 'orders'),
      ordersTopic: read.text('ORDERS_TOPIC', 'orders'),
      deadLetterTopic: read.text('DLQ_TOPIC', 'orders-dlq'),
      cancellationsTopic: read.text('CANCELLATIONS_TOPIC', 'orders-cancelled'),
      operatorActionsTopic: read.text('OPERATOR_ACTIONS_TOPIC', 'operator-actions'),
      orderEventsTopic: read.text('ORDER_EVENTS_TOPIC', 'order-events'),
      consumerGroup: read.text('CONSUMER_GROUP', 'ingest'),
      archiverGroup: read.text('ARCHIVER_GROUP', 'archiver'),
      defaultCurrency: read.text('DEFAULT_CURRENCY', 'USD'),
      /** The token of the buyer as whom `buy`, `order` and `cancel` act. */
      buyerToken: read.optional('FLASH_SALE_TOKEN'),
      /** How long the gateway keeps the claim of an accepted order. */
      orderRetentionMs:
        read.integer('ORDER_RETENTION', 604_800, { min: 60, max: 31_536_000 }) * 1000,
    }),
  );
}

/** How the gateway checks tokens, for a command that makes one. Throws a UserError for invalid settings. */
export function loadBuyerAuth(env: Env) {
  const read = createReader(env);
  return orUserError(() => {
    const production = env['ENGINE_MODE']?.trim() === 'production';
    return read.done({ production, jwt: readBuyerAuth(read, production) });
  });
}

function orUserError<T>(load: () => T): T {
  try {
    return load();
  } catch (cause) {
    throw new UserError(describeError(cause), { cause });
  }
}

function eachAddress<T>(find: (name: AddressName) => T): Record<AddressName, T> {
  return {
    gateway: find('gateway'),
    admin: find('admin'),
    payments: find('payments'),
    temporalUi: find('temporalUi'),
    redis: find('redis'),
    temporal: find('temporal'),
    kafka: find('kafka'),
    database: find('database'),
  };
}

/** What a running stack has written; nothing where there is none. The stack keeps more in its file than addresses. */
function readStackFile(file: string): Readonly<Partial<Record<string, unknown>>> {
  if (!existsSync(file)) return {};
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof value !== 'object' || value === null) throw new Error('it holds no object');
  } catch (cause) {
    throw new UserError(
      `${file} cannot be read (${describeError(cause)}): remove it if no stack is running.`,
      { cause },
    );
  }
  return { ...value };
}

const ADDRESS = /^[^\s:,]+:\d{1,5}$/;

function checked(name: AddressName, value: string, source: string): string {
  switch (ADDRESSES[name].kind) {
    case 'url':
      if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
        throw new UserError(`${source} must be an http or https URL, not "${value}".`);
      }
      return value.replace(/\/+$/, '');
    case 'database':
      // Only a running stack writes it.
      return value;
    case 'address':
      if (!ADDRESS.test(value)) throw new UserError(`${source} must be host:port, not "${value}".`);
      return value;
    case 'addresses':
      if (!value.split(',').every((address) => ADDRESS.test(address.trim()))) {
        throw new UserError(`${source} must be host:port, comma-separated, not "${value}".`);
      }
      return value;
  }
}
