import {
  readKafkaAccess,
  readRedisAccess,
  type KafkaAccess,
  type RedisAccess,
} from './config/access';
import { readFailpoints, type FailpointConfig } from './config/failpoints';
import { createReader, type Env, type Reader } from './config/reader';
import type { Secret } from './config/secret';
import { readTemporalAccess, type TemporalAccess } from './config/temporal-access';

export type { Env };

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

interface ProcessConfig {
  /** Address the process listens on. */
  readonly host: string;
  /** HTTP port of the process: the gateway's door, or health and metrics. */
  readonly port: number;
  readonly logLevel: LogLevel;
}

interface ModeConfig {
  /** In production a Redis or a Kafka that may forget orders is refused, not only warned of. */
  readonly production: boolean;
}

interface RedisConfig {
  readonly redis: RedisAccess;
}

interface KafkaConfig {
  readonly kafka: KafkaAccess;
  readonly ordersTopic: string;
  readonly deadLetterTopic: string;
}

interface TemporalConfig {
  readonly temporal: TemporalAccess;
  readonly taskQueue: string;
}

/** What serving operators takes beside the rest of the gateway. */
export interface OperatorConfig extends TemporalConfig {
  /** What an operator has to show, at least OPERATOR_TOKEN_LENGTH_MIN characters. */
  readonly token: Secret;
}

export interface ApiConfig
  extends ProcessConfig, ModeConfig, RedisConfig, KafkaConfig, TemporalConfig, FailpointConfig {
  /** Gateway processes that share the port. */
  readonly processes: number;
  /** Base URL of the Temporal Web UI for trace links; absent: no links. */
  readonly temporalUiUrl: string | undefined;
  /** How long a claim lives while its order is not accepted. */
  readonly claimTtlMs: number;
  /** How long a claim lives once its order is accepted. */
  readonly orderRetentionMs: number;
  readonly defaultPriceMinor: number;
  readonly defaultCurrency: string;
  /** How many purchases one user may ask for within so many seconds, at each gateway; absent: no limit. */
  readonly rateLimit: { readonly requests: number; readonly seconds: number } | undefined;
  /** Absent: the gateway serves no operators. */
  readonly operator: OperatorConfig | undefined;
}

export interface IngestConfig
  extends ProcessConfig, ModeConfig, RedisConfig, KafkaConfig, TemporalConfig, FailpointConfig {
  readonly consumerGroup: string;
  /** Orders that may be open in Temporal at once. */
  readonly openOrdersMax: number;
}

export interface WorkerConfig
  extends ProcessConfig, ModeConfig, RedisConfig, KafkaConfig, TemporalConfig, FailpointConfig {
  /** Base URL of the payment provider. */
  readonly paymentUrl: string;
  /** Whose progress in the log tells the audit whether a record was lost. */
  readonly consumerGroup: string;
  /** How often all items are audited; 0: never. */
  readonly auditEveryMs: number;
}

export interface SimulatorConfig extends ProcessConfig {
  /** File of the persistent ledger. */
  readonly ledgerFile: string;
  /** Fraction of keys declined, 0 to 1. */
  readonly declineRate: number;
}

/** The gateway's configuration. Throws one error that lists every problem found in `env`. */
export function loadApiConfig(env: Env): ApiConfig {
  const read = createReader(env);
  return read.done({
    ...processConfig(read, 8080),
    ...modeConfig(read),
    redis: readRedisAccess(read),
    ...kafkaConfig(read),
    ...temporalConfig(read),
    processes: read.integer('API_PROCESSES', 1, { min: 1, max: 64 }),
    temporalUiUrl: read.optionalUrl('TEMPORAL_UI_URL'),
    ...claimLives(read),
    defaultPriceMinor: read.integer('DEFAULT_PRICE_MINOR', 1000, { min: 1, max: 100_000_000 }),
    defaultCurrency: read.matching('DEFAULT_CURRENCY', 'USD', /^[A-Z]{3}$/, 'an ISO 4217 code'),
    rateLimit: rateLimit(read),
    operator: operatorConfig(read),
    failpoints: readFailpoints(read),
  });
}

/** The ingest consumer's configuration. Throws one error that lists every problem found in `env`. */
export function loadIngestConfig(env: Env): IngestConfig {
  const read = createReader(env);
  return read.done({
    ...processConfig(read, 9101),
    ...modeConfig(read),
    redis: readRedisAccess(read),
    ...kafkaConfig(read),
    ...temporalConfig(read),
    consumerGroup: read.text('CONSUMER_GROUP', 'ingest'),
    openOrdersMax: read.integer('OPEN_ORDERS_MAX', 500, { min: 1, max: 100_000 }),
    failpoints: readFailpoints(read),
  });
}

/** The worker's configuration. Throws one error that lists every problem found in `env`. */
export function loadWorkerConfig(env: Env): WorkerConfig {
  const read = createReader(env);
  return read.done({
    ...processConfig(read, 9102),
    ...modeConfig(read),
    redis: readRedisAccess(read),
    ...kafkaConfig(read),
    ...temporalConfig(read),
    paymentUrl: read.url('PAYMENT_URL'),
    consumerGroup: read.text('CONSUMER_GROUP', 'ingest'),
    auditEveryMs: read.integer('AUDIT_EVERY', 60, { min: 0, max: 86_400 }) * 1000,
    failpoints: readFailpoints(read),
  });
}

/** The payment simulator's configuration. Throws one error that lists every problem found in `env`. */
export function loadSimulatorConfig(env: Env): SimulatorConfig {
  const read = createReader(env);
  return read.done({
    ...processConfig(read, 8090),
    ledgerFile: read.text('PAYMENT_LEDGER_FILE'),
    declineRate: read.fraction('PAYMENT_DECLINE_RATE', 0.1),
  });
}

/**
 * An accepted order's claim is prolonged, so its buyer must be recognised for longer than while nothing was decided. Not
 * shorter would do for that; twice as long leaves room.
 */
function claimLives(read: Reader): Pick<ApiConfig, 'claimTtlMs' | 'orderRetentionMs'> {
  const ttl = read.integer('IDEMPOTENCY_TTL', 600, { min: 30, max: 86_400 });
  const retention = read.integer('ORDER_RETENTION', 604_800, { min: 60, max: 31_536_000 });
  if (retention < 2 * ttl) {
    read.fail(
      `ORDER_RETENTION must be at least twice IDEMPOTENCY_TTL, so ${String(2 * ttl)}, not ${String(retention)}`,
    );
  }
  return { claimTtlMs: ttl * 1000, orderRetentionMs: retention * 1000 };
}

function rateLimit(read: Reader): ApiConfig['rateLimit'] {
  const requests = read.integer('RATE_LIMIT_REQUESTS', 0, { min: 0, max: 1_000_000 });
  const seconds = read.integer('RATE_LIMIT_SECONDS', 1, { min: 1, max: 3_600 });
  return requests === 0 ? undefined : { requests, seconds };
}

/** How Redis, Kafka or Temporal is reached, for whoever is no process of the engine. Each throws like the others. */
export function loadRedisAccess(env: Env): RedisAccess {
  const read = createReader(env);
  return read.done(readRedisAccess(read));
}

export function loadKafkaAccess(env: Env): KafkaAccess {
  const read = createReader(env);
  return read.done(readKafkaAccess(read));
}

export function loadTemporalAccess(env: Env): TemporalAccess {
  const read = createReader(env);
  return read.done(readTemporalAccess(read));
}

function processConfig(read: Reader, defaultPort: number): ProcessConfig {
  return {
    // Loopback unless told otherwise: a laptop's demo is nobody else's business.
    host: read.text('HOST', '127.0.0.1'),
    port: read.integer('PORT', defaultPort, { min: 1, max: 65_535 }),
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  };
}

function modeConfig(read: Reader): ModeConfig {
  const mode = read.oneOf('ENGINE_MODE', 'development', ['development', 'production']);
  return { production: mode === 'production' };
}

function kafkaConfig(read: Reader): KafkaConfig {
  return {
    kafka: readKafkaAccess(read),
    ordersTopic: read.text('ORDERS_TOPIC', 'orders'),
    deadLetterTopic: read.text('DLQ_TOPIC', 'orders-dlq'),
  };
}

function temporalConfig(read: Reader): TemporalConfig {
  return {
    temporal: readTemporalAccess(read),
    taskQueue: read.text('TASK_QUEUE', 'orders'),
  };
}

/** Long enough that nobody guesses it over HTTP. */
const OPERATOR_TOKEN_LENGTH_MIN = 16;

function operatorConfig(read: Reader): OperatorConfig | undefined {
  const token = read.secret('OPERATOR_TOKEN');
  if (token === undefined) return undefined;
  if (token.reveal().length < OPERATOR_TOKEN_LENGTH_MIN || /\s/.test(token.reveal())) {
    read.fail(
      `OPERATOR_TOKEN must be at least ${OPERATOR_TOKEN_LENGTH_MIN} characters without a space`,
    );
  }
  return { token, ...temporalConfig(read) };
}
