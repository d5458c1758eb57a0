import {
  readDatabaseAccess,
  readKafkaAccess,
  readRedisAccess,
  readTemporalAccess,
  requireDatabaseAccess,
} from './config/access';
import { readBuyerAuth } from './config/buyer-auth';
import { findMisspelled } from './config/names';
import { readPayments, readWebhooks } from './config/payments';
import { readUserIdPattern } from './config/user-id-pattern';
import { createReader, type Env, type Reader } from './config/reader';
import { parseFailpoints } from './failpoints';

export type { Env };

/** The gateway's configuration. Throws one error that lists every problem found in `env`. */
export function loadApiConfig(env: Env) {
  const read = createReader(env);
  checkNames(read, env);
  const connections = readConnections(read);
  const own = readProcess(read, 8080);
  return read.done({
    ...own,
    adminPort: readAdminPort(read, own.port),
    ...connections,
    /** Gateway processes that share the ports. */
    processes: read.integer('API_PROCESSES', 1, { min: 1, max: 64 }),
    /** Base URL of the Temporal Web UI for trace links; absent: no links. */
    temporalUiUrl: read.optionalUrl('TEMPORAL_UI_URL'),
    ...readClaimLifetimes(read),
    defaultPriceMinor: read.integer('DEFAULT_PRICE_MINOR', 1000, { min: 1, max: 100_000_000 }),
    defaultCurrency: read.matching('DEFAULT_CURRENCY', 'USD', /^[A-Z]{3}$/, 'an ISO 4217 code'),
    rateLimit: readRateLimit(read),
    /** Addresses of which the gateway believes X-Forwarded-For. */
    trustedProxies: read.networks('TRUSTED_PROXIES'),
    /** How buyers reach the gateway; absent: the types of problems are relative. */
    publicUrl: readPublicUrl(read),
    /** Whether each request is logged. */
    accessLog: read.flag('ACCESS_LOG'),
    /** Buyers who pay themselves get what their page needs from it. */
    payments: readPayments(read, connections.production),
    /** How tokens of buyers are checked; absent: every user_id is believed. */
    jwt: readBuyerAuth(read, connections.production),
    /** What every user_id must match; absent: whatever is an id. */
    userIdPattern: readUserIdPattern(read),
    /** Absent: the gateway has no archive. */
    database: readDatabaseAccess(read, connections.production),
    /** Absent: the gateway serves no operators. */
    operator: readOperator(read, connections),
  });
}

export type ApiConfig = ReturnType<typeof loadApiConfig>;

/** The ingest consumer's configuration. Throws one error that lists every problem found in `env`. */
export function loadIngestConfig(env: Env) {
  const read = createReader(env);
  checkNames(read, env);
  const connections = readConnections(read);
  return read.done({
    ...readProcess(read, 9101),
    ...connections,
    consumerGroup: read.text('CONSUMER_GROUP', 'ingest'),
    /** How long the claim of an accepted order lives. */
    orderRetentionMs: readClaimLifetimes(read).orderRetentionMs,
    /** Orders that may be open in Temporal at once. */
    openOrdersMax: read.integer('OPEN_ORDERS_MAX', 500, { min: 1, max: 100_000 }),
    /** Orders whose first task ingest runs itself, at once; 0: workers run all. */
    eagerOrdersMax: read.integer('EAGER_ORDERS_MAX', 60, { min: 0, max: 1_000 }),
    payments: readPayments(read, connections.production),
  });
}

/** The set-up's configuration: the systems that it prepares. Throws one error that lists every problem found in `env`. */
export function loadSetupConfig(env: Env) {
  const read = createReader(env);
  checkNames(read, env);
  const connections = readConnections(read);
  return read.done({
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
    ...connections,
    /** Absent: there is no archive of orders. */
    database: readArchive(read, connections.production),
    /** Of the oldest backup of the archive from which it would be restored. */
    backupAgeMs: read.integer('ARCHIVE_BACKUP_AGE', 432_000, { min: 0, max: 31_536_000 }) * 1000,
  });
}

export type IngestConfig = ReturnType<typeof loadIngestConfig>;

/** The archiver's configuration. Throws one error that lists every problem found in `env`. */
export function loadArchiverConfig(env: Env) {
  const read = createReader(env);
  checkNames(read, env);
  const connections = readConnections(read);
  return read.done({
    ...readProcess(read, 9103),
    ...connections,
    database: requireDatabaseAccess(read, connections.production),
    /** Not the one of ingest: each of the two reads all orders. */
    consumerGroup: read.text('ARCHIVER_GROUP', 'archiver'),
    ...readRetentions(read),
  });
}

/** The worker's configuration. Throws one error that lists every problem found in `env`. */
export function loadWorkerConfig(env: Env) {
  const read = createReader(env);
  checkNames(read, env);
  const connections = readConnections(read);
  return read.done({
    ...readProcess(read, 9102),
    ...connections,
    /** Absent: the steps of orders that have left the ledger wait for ever. */
    database: readArchive(read, connections.production),
    payments: readPayments(read, connections.production),
    /** Time between two looks at the provider's list of events; 0: nobody looks. */
    paymentEventsEveryMs: read.integer('PAYMENT_EVENTS_EVERY', 15, { min: 0, max: 3_600 }) * 1000,
    /** The audit reads this group's offsets to find lost records. */
    consumerGroup: read.text('CONSUMER_GROUP', 'ingest'),
    /** Time between two audits of all items; 0: no audits. */
    auditEveryMs: read.integer('AUDIT_EVERY', 60, { min: 0, max: 86_400 }) * 1000,
    /** A record that is older starts no order which the ledger does not know. */
    orderRetentionMs: readOrderRetention(read) * 1000,
  });
}

export type WorkerConfig = ReturnType<typeof loadWorkerConfig>;

/** The payment simulator's configuration. Throws one error that lists every problem found in `env`. */
export function loadSimulatorConfig(env: Env) {
  const read = createReader(env);
  checkNames(read, env);
  return read.done({
    ...readProcess(read, 8090),
    /** File of the persistent ledger. */
    ledgerFile: read.text('PAYMENT_LEDGER_FILE'),
    /** Fraction of keys declined, 0 to 1. */
    declineRate: read.fraction('PAYMENT_DECLINE_RATE', 0.1),
    /** Who is sent what happens to payments; absent: nobody. */
    webhooks: readWebhooks(read),
    /** Base URL of the pages on which buyers pay; absent: the port on localhost. */
    pageUrl: read.optionalUrl('PAYMENT_PAGE_URL'),
  });
}

/** How to reach Redis, for a program that is no process of the engine. Throws like the loaders above. */
export function loadRedisAccess(env: Env) {
  const read = createReader(env);
  return read.done(readRedisAccess(read));
}

/** How to reach Kafka. */
export function loadKafkaAccess(env: Env) {
  const read = createReader(env);
  return read.done(readKafkaAccess(read));
}

/** How to reach the payment provider. */
export function loadPayments(env: Env) {
  const read = createReader(env);
  return read.done(readPayments(read, env['ENGINE_MODE']?.trim() === 'production'));
}

/** How to reach PostgreSQL. */
export function loadDatabaseAccess(env: Env) {
  const read = createReader(env);
  return read.done(requireDatabaseAccess(read, false));
}

/** How to reach Temporal. */
export function loadTemporalAccess(env: Env) {
  const read = createReader(env);
  return read.done(readTemporalAccess(read));
}

/** Variables that are set, that no process reads, and that seem to be meant for one: a sentence for each. */
export function misspelledVariables(env: Env): string[] {
  return findMisspelled(env, variablesRead);
}

/** A setting that is written wrongly would be a setting that is silently not made. */
function checkNames(read: Reader, env: Env): void {
  for (const problem of misspelledVariables(env)) read.fail(problem);
}

/** Every variable that the loaders look up, in each of their processes. */
export function variablesRead(): ReadonlySet<string> {
  const names = new Set<string>();
  const env = new Proxy<Env>(
    {},
    {
      get: (_, name) => {
        names.add(String(name));
        return undefined;
      },
    },
  );
  const loaders = [
    loadApiConfig,
    loadIngestConfig,
    loadSetupConfig,
    loadWorkerConfig,
    loadArchiverConfig,
    loadSimulatorConfig,
  ];
  for (const load of loaders) {
    try {
      load(env);
    } catch {
      // Required variables are missing, which is reported after all variables were read.
    }
  }
  return names;
}

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What every process reads. */
function readProcess(read: Reader, defaultPort: number) {
  return {
    /** Address the process listens on: loopback by default, so that a demo on a laptop is not reachable from outside. */
    host: read.text('HOST', '127.0.0.1'),
    /** HTTP port: the gateway's for buyers, or the one for health and metrics. */
    port: read.integer('PORT', defaultPort, { min: 1, max: 65_535 }),
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  };
}

/** The gateway's second port, for operators, metrics and probes: what is reachable by the first one is for buyers. */
function readAdminPort(read: Reader, publicPort: number): number {
  const port = read.integer('ADMIN_PORT', 9100, { min: 1, max: 65_535 });
  if (port === publicPort) read.fail(`ADMIN_PORT must differ from PORT, ${publicPort}`);
  return port;
}

/** What the processes read that handle orders. */
function readConnections(read: Reader) {
  const mode = read.oneOf('ENGINE_MODE', 'development', ['development', 'production']);
  return {
    /** In production a Redis or a Kafka that may lose orders is an error; otherwise it is a warning. */
    production: mode === 'production',
    redis: readRedisAccess(read),
    kafka: readKafkaAccess(read),
    ordersTopic: read.text('ORDERS_TOPIC', 'orders'),
    deadLetterTopic: read.text('DLQ_TOPIC', 'orders-dlq'),
    cancellationsTopic: read.text('CANCELLATIONS_TOPIC', 'orders-cancelled'),
    operatorActionsTopic: read.text('OPERATOR_ACTIONS_TOPIC', 'operator-actions'),
    orderEventsTopic: read.text('ORDER_EVENTS_TOPIC', 'order-events'),
    temporal: readTemporalAccess(read),
    taskQueue: read.text('TASK_QUEUE', 'orders'),
    /** Places at which the process fails on purpose; none in production. */
    failpoints: readFailpoints(read, mode),
  };
}

/** In production no archive would be a decision by oversight. */
function readArchive(read: Reader, production: boolean) {
  return production
    ? requireDatabaseAccess(read, production)
    : readDatabaseAccess(read, production);
}

function readFailpoints(read: Reader, mode: 'development' | 'production') {
  const text = read.optional('FAILPOINTS') ?? '';
  const { failpoints, problems } = parseFailpoints(text);
  for (const problem of problems) read.fail(`FAILPOINTS ${problem}`);
  if (text !== '' && mode === 'production') {
    read.fail('FAILPOINTS is for tests: it must not be set when ENGINE_MODE is production');
  }
  return failpoints;
}

/**
 * How long a claim lives while its order is not accepted, and once it is. The second must be longer: a claim whose life
 * was extended is how the gateway recognises the buyer of an accepted order. Twice as long leaves a margin.
 */
function readClaimLifetimes(read: Reader) {
  const ttl = read.integer('IDEMPOTENCY_TTL', 600, { min: 30, max: 86_400 });
  const retention = readOrderRetention(read);
  if (retention < 2 * ttl) {
    read.fail(
      `ORDER_RETENTION must be at least twice IDEMPOTENCY_TTL, so ${String(2 * ttl)}, not ${String(retention)}`,
    );
  }
  return { claimTtlMs: ttl * 1000, orderRetentionMs: retention * 1000 };
}

/** How long an accepted order is found by its request_id, in seconds. */
function readOrderRetention(read: Reader): number {
  return read.integer('ORDER_RETENTION', 604_800, { min: 60, max: 31_536_000 });
}

/** How long the ledger has an order that has ended; one that failed stays for as long as its request_id is known. */
function readRetentions(read: Reader) {
  const orderRetention = readOrderRetention(read);
  return {
    ledgerRetentionMs:
      read.integer('LEDGER_RETENTION', 86_400, { min: 60, max: 31_536_000 }) * 1000,
    orderRetentionMs: orderRetention * 1000,
  };
}

/** It becomes a part of JSON texts as it is, and paths are appended to it. */
function readPublicUrl(read: Reader): string | undefined {
  const url = read.optionalUrl('PUBLIC_URL');
  if (url !== undefined && !/^https?:\/\/[\w.:/~%[\]-]+$/.test(url)) {
    read.fail(`PUBLIC_URL must be an http or https URL without a query, not "${url}"`);
  }
  return url;
}

/** How many purchases one client may request within so many seconds at each gateway; undefined: no limit. */
function readRateLimit(read: Reader) {
  const range = { min: 0, max: 1_000_000 };
  const requests = read.integer('RATE_LIMIT_REQUESTS', 0, range) || undefined;
  const itemRequests = read.integer('RATE_LIMIT_ITEM_REQUESTS', 0, range) || undefined;
  const seconds = read.integer('RATE_LIMIT_SECONDS', 1, { min: 1, max: 3_600 });
  return requests === undefined && itemRequests === undefined
    ? undefined
    : { requests, itemRequests, seconds };
}

/** Long enough that it cannot be guessed over HTTP. */
const OPERATOR_TOKEN_LENGTH_MIN = 16;

function readOperator(
  read: Reader,
  { temporal, taskQueue }: Pick<ReturnType<typeof readConnections>, 'temporal' | 'taskQueue'>,
) {
  const token = read.secret('OPERATOR_TOKEN');
  const file = read.optionalFile('OPERATORS_FILE');
  if (token === undefined && file === undefined) return undefined;
  const text = token?.reveal();
  if (text !== undefined && (text.length < OPERATOR_TOKEN_LENGTH_MIN || /\s/.test(text))) {
    read.fail(
      `OPERATOR_TOKEN must be at least ${OPERATOR_TOKEN_LENGTH_MIN} characters without a space`,
    );
  }
  return { token, file, temporal, taskQueue };
}
