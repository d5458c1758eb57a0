export type Env = Readonly<Record<string, string | undefined>>;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

interface ProcessConfig {
  /** Address the process listens on. */
  readonly host: string;
  /** HTTP port of the process: the gateway's door, or health and metrics. */
  readonly port: number;
  readonly logLevel: LogLevel;
}

interface RedisConfig {
  /** host:port */
  readonly redisAddr: string;
  /** In production a Redis that may forget orders is refused, not only warned of. */
  readonly production: boolean;
}

interface KafkaConfig {
  /** host:port, one or more */
  readonly kafkaAddrs: readonly string[];
  readonly ordersTopic: string;
  readonly deadLetterTopic: string;
}

interface TemporalConfig {
  /** host:port of the frontend */
  readonly temporalAddress: string;
  readonly temporalNamespace: string;
  readonly taskQueue: string;
}

/** What serving operators takes beside the rest of the gateway. */
export interface OperatorConfig extends TemporalConfig {
  /** What an operator has to show, at least OPERATOR_TOKEN_LENGTH_MIN characters. */
  readonly token: string;
}

export interface ApiConfig extends ProcessConfig, RedisConfig, KafkaConfig {
  /** Base URL of the Temporal Web UI for trace links; absent: no links. */
  readonly temporalUiUrl: string | undefined;
  readonly temporalNamespace: string;
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

export interface IngestConfig extends ProcessConfig, RedisConfig, KafkaConfig, TemporalConfig {
  readonly consumerGroup: string;
  /** Orders that may be open in Temporal at once. */
  readonly openOrdersMax: number;
}

export interface WorkerConfig extends ProcessConfig, RedisConfig, KafkaConfig, TemporalConfig {
  /** Base URL of the payment provider. */
  readonly paymentUrl: string;
}

export interface SimulatorConfig extends ProcessConfig {
  /** File of the persistent ledger. */
  readonly ledgerFile: string;
  /** Fraction of keys declined, 0 to 1. */
  readonly declineRate: number;
}

/** The gateway's configuration. Throws one error that lists every problem found in `env`. */
export function loadApiConfig(env: Env): ApiConfig {
  const read = reader(env);
  return read.done({
    ...processConfig(read, 8080),
    ...redisConfig(read),
    ...kafkaConfig(read),
    temporalUiUrl: read.optionalUrl('TEMPORAL_UI_URL'),
    temporalNamespace: read.text('TEMPORAL_NAMESPACE', 'default'),
    claimTtlMs: read.integer('IDEMPOTENCY_TTL', 600, { min: 30, max: 86_400 }) * 1000,
    orderRetentionMs: read.integer('ORDER_RETENTION', 604_800, { min: 60, max: 31_536_000 }) * 1000,
    defaultPriceMinor: read.integer('DEFAULT_PRICE_MINOR', 1000, { min: 1, max: 100_000_000 }),
    defaultCurrency: read.matching('DEFAULT_CURRENCY', 'USD', /^[A-Z]{3}$/, 'an ISO 4217 code'),
    rateLimit: rateLimit(read),
    operator: operatorConfig(read),
  });
}

/** The ingest consumer's configuration. Throws one error that lists every problem found in `env`. */
export function loadIngestConfig(env: Env): IngestConfig {
  const read = reader(env);
  return read.done({
    ...processConfig(read, 9101),
    ...redisConfig(read),
    ...kafkaConfig(read),
    ...temporalConfig(read),
    consumerGroup: read.text('CONSUMER_GROUP', 'ingest'),
    openOrdersMax: read.integer('OPEN_ORDERS_MAX', 500, { min: 1, max: 100_000 }),
  });
}

/** The worker's configuration. Throws one error that lists every problem found in `env`. */
export function loadWorkerConfig(env: Env): WorkerConfig {
  const read = reader(env);
  return read.done({
    ...processConfig(read, 9102),
    ...redisConfig(read),
    ...kafkaConfig(read),
    ...temporalConfig(read),
    paymentUrl: read.url('PAYMENT_URL'),
  });
}

/** The payment simulator's configuration. Throws one error that lists every problem found in `env`. */
export function loadSimulatorConfig(env: Env): SimulatorConfig {
  const read = reader(env);
  return read.done({
    ...processConfig(read, 8090),
    ledgerFile: read.text('PAYMENT_LEDGER_FILE'),
    declineRate: read.fraction('PAYMENT_DECLINE_RATE', 0.1),
  });
}

function rateLimit(read: Reader): ApiConfig['rateLimit'] {
  const requests = read.integer('RATE_LIMIT_REQUESTS', 0, { min: 0, max: 1_000_000 });
  const seconds = read.integer('RATE_LIMIT_SECONDS', 1, { min: 1, max: 3_600 });
  return requests === 0 ? undefined : { requests, seconds };
}

function processConfig(read: Reader, defaultPort: number): ProcessConfig {
  return {
    // Loopback unless told otherwise: a laptop's demo is nobody else's business.
    host: read.text('HOST', '127.0.0.1'),
    port: read.integer('PORT', defaultPort, { min: 1, max: 65_535 }),
    logLevel: read.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  };
}

function redisConfig(read: Reader): RedisConfig {
  const mode = read.oneOf('ENGINE_MODE', 'development', ['development', 'production']);
  return { redisAddr: read.address('REDIS_ADDR'), production: mode === 'production' };
}

function kafkaConfig(read: Reader): KafkaConfig {
  return {
    kafkaAddrs: read.addresses('KAFKA_ADDR'),
    ordersTopic: read.text('ORDERS_TOPIC', 'orders'),
    deadLetterTopic: read.text('DLQ_TOPIC', 'orders-dlq'),
  };
}

function temporalConfig(read: Reader): TemporalConfig {
  return {
    temporalAddress: read.address('TEMPORAL_ADDRESS'),
    temporalNamespace: read.text('TEMPORAL_NAMESPACE', 'default'),
    taskQueue: read.text('TASK_QUEUE', 'orders'),
  };
}

/** Long enough that nobody guesses it over HTTP. */
const OPERATOR_TOKEN_LENGTH_MIN = 16;

function operatorConfig(read: Reader): OperatorConfig | undefined {
  const token = read.secret('OPERATOR_TOKEN', OPERATOR_TOKEN_LENGTH_MIN);
  return token === undefined ? undefined : { token, ...temporalConfig(read) };
}

type Reader = ReturnType<typeof reader>;

/**
 * Reads variables one by one and remembers what is wrong with each, so that all faults are told at once.
 * A faulty value is replaced by a stand-in that never leaves: `done` throws before anybody sees it.
 */
function reader(env: Env) {
  const problems: string[] = [];
  const raw = (name: string) => env[name]?.trim() ?? '';
  const fail = (problem: string) => problems.push(problem);

  const text = (name: string, fallback?: string): string => {
    const value = raw(name) || fallback;
    if (value === undefined) fail(`${name} is required`);
    return value ?? '';
  };
  const matching = (name: string, fallback: string | undefined, pattern: RegExp, what: string) => {
    const value = text(name, fallback);
    if (value !== '' && !pattern.test(value)) fail(`${name} must be ${what}, not "${value}"`);
    return value;
  };
  const number = (name: string, fallback: number, range: { min: number; max: number }) => {
    const value = raw(name) === '' ? fallback : Number(raw(name));
    const inRange = value >= range.min && value <= range.max;
    if (!inRange) {
      fail(`${name} must be a number from ${range.min} to ${range.max}, not "${raw(name)}"`);
    }
    return value;
  };

  const url = (name: string, value: string) => {
    if (value !== '' && !URL.canParse(value)) fail(`${name} must be a URL, not "${value}"`);
    return value.replace(/\/+$/, '');
  };

  return {
    text,
    matching,
    address: (name: string) => matching(name, undefined, ADDRESS, 'host:port'),
    addresses: (name: string) => {
      const list = matching(name, undefined, ADDRESSES, 'host:port, comma-separated');
      return list.split(',').map((address) => address.trim());
    },
    fraction: (name: string, fallback: number) => number(name, fallback, { min: 0, max: 1 }),
    integer: (name: string, fallback: number, range: { min: number; max: number }) => {
      const value = number(name, fallback, range);
      if (!Number.isNaN(value) && !Number.isInteger(value)) fail(`${name} must be a whole number`);
      return value;
    },
    oneOf: <T extends string>(name: string, fallback: T, allowed: readonly T[]): T => {
      const value = text(name, fallback);
      const found = allowed.find((candidate) => candidate === value);
      if (!found) fail(`${name} must be one of ${allowed.join(', ')}, not "${value}"`);
      return found ?? fallback;
    },
    /** Never quoted, whatever is wrong with it. */
    secret: (name: string, lengthMin: number) => {
      const value = raw(name);
      if (value === '') return undefined;
      if (value.length < lengthMin || /\s/.test(value)) {
        fail(`${name} must be at least ${lengthMin} characters without a space`);
      }
      return value;
    },
    url: (name: string) => url(name, text(name)),
    optionalUrl: (name: string) => (raw(name) === '' ? undefined : url(name, raw(name))),
    done: <T>(config: T): T => {
      if (problems.length > 0) throw new Error(`Bad configuration:\n  ${problems.join('\n  ')}`);
      return config;
    },
  };
}

const ADDRESS = /^[^\s:,]+:\d{1,5}$/;
const ADDRESSES = /^[^\s:,]+:\d{1,5}(\s*,\s*[^\s:,]+:\d{1,5})*$/;
