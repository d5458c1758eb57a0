import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { misspelledVariables, type Env } from '../platform/config';
import { isTaken } from '../platform/machine';
import { UserError } from '../platform/user-error';

/** Every port of the local stack: its variable and its default. */
export const PORTS = {
  gateway: { variable: 'PORT', standard: 8080 },
  admin: { variable: 'ADMIN_PORT', standard: 9100 },
  ingest: { variable: 'INGEST_PORT', standard: 9101 },
  worker: { variable: 'WORKER_PORT', standard: 9102 },
  archiver: { variable: 'ARCHIVER_PORT', standard: 9103 },
  payment: { variable: 'PAYMENT_PORT', standard: 8090 },
  redis: { variable: 'REDIS_PORT', standard: 6379 },
  kafka: { variable: 'KAFKA_PORT', standard: 19_092 },
  kafkaController: { variable: 'KAFKA_CONTROLLER_PORT', standard: 19_093 },
  temporal: { variable: 'TEMPORAL_PORT', standard: 7233 },
  temporalUi: { variable: 'TEMPORAL_UI_PORT', standard: 8233 },
  postgres: { variable: 'POSTGRES_PORT', standard: 5432 },
} as const;

export type PortName = keyof typeof PORTS;
export type Ports = Readonly<Record<PortName, number>>;

/** The variables that name a running system. What fills and empties what it finds has servers of its own. */
export const ADDRESS_VARIABLES = [
  'REDIS_ADDR',
  'KAFKA_ADDR',
  'TEMPORAL_ADDRESS',
  'DATABASE_URL',
  'DATABASE_URL_FILE',
  'PAYMENT_URL',
] as const;

export type StackSettings = ReturnType<typeof loadStackSettings>;

/** What the environment says about the local stack. `root` is the checkout. Throws a UserError for a wrong port or name. */
export function loadStackSettings(env: Env, root: string) {
  const misspelled = misspelledVariables(env);
  if (misspelled.length > 0) throw new UserError(misspelled.join('\n'));
  const text = (name: string) => env[name]?.trim() || undefined;
  const userCache = text('XDG_CACHE_HOME') ?? join(homedir(), '.cache');
  return {
    root,
    /** Data and logs of this stack. */
    dataDir: resolve(root, text('FLASH_SALE_DATA') ?? 'var'),
    /** What is installed for all stacks of this user. */
    cacheDir: resolve(text('FLASH_SALE_CACHE') ?? join(userCache, 'flash-sale-engine')),
    ports: loadPorts(env),
    // A system whose address is set is used and not started.
    redisAddr: text('REDIS_ADDR'),
    kafkaAddr: text('KAFKA_ADDR'),
    temporalAddress: text('TEMPORAL_ADDRESS'),
    temporalUiUrl: text('TEMPORAL_UI_URL'),
    isDatabaseGiven: (text('DATABASE_URL') ?? text('DATABASE_URL_FILE')) !== undefined,
    // Where its payments are shown.
    paymentUrl:
      text('PAYMENT_URL') ??
      (text('PAYMENT_PROVIDER') === 'stripe' ? 'https://dashboard.stripe.com/payments' : undefined),
    /** 'all': Temporal's own schema, and a third fewer orders a second. */
    temporalIndexes: text('TEMPORAL_INDEXES'),
    temporalNamespace: text('TEMPORAL_NAMESPACE') ?? 'default',
    ordersTopic: text('ORDERS_TOPIC') ?? 'orders',
    deadLetterTopic: text('DLQ_TOPIC') ?? 'orders-dlq',
    cancellationsTopic: text('CANCELLATIONS_TOPIC') ?? 'orders-cancelled',
    operatorActionsTopic: text('OPERATOR_ACTIONS_TOPIC') ?? 'operator-actions',
    orderEventsTopic: text('ORDER_EVENTS_TOPIC') ?? 'order-events',
    operatorToken: text('OPERATOR_TOKEN'),
    operatorsFile: text('OPERATORS_FILE'),
    buyerAuth: text('BUYER_AUTH') ?? 'trusted',
    javaHome: text('JAVA_HOME'),
    kafkaHome: text('KAFKA_HOME'),
    /** The whole environment, which every process inherits. */
    env,
  };
}

function loadPorts(env: Env): Ports {
  const port = (name: PortName) => {
    const { variable, standard } = PORTS[name];
    const given = env[variable]?.trim();
    const value = given ? Number(given) : standard;
    if (Number.isInteger(value) && value >= 1 && value <= 65_535) return value;
    throw new UserError(`${variable} must be a port from 1 to 65535, not "${given ?? ''}".`);
  };
  return {
    gateway: port('gateway'),
    admin: port('admin'),
    ingest: port('ingest'),
    worker: port('worker'),
    archiver: port('archiver'),
    payment: port('payment'),
    redis: port('redis'),
    kafka: port('kafka'),
    kafkaController: port('kafkaController'),
    temporal: port('temporal'),
    temporalUi: port('temporalUi'),
    postgres: port('postgres'),
  };
}

/** The ports that a stack with these settings listens on: none for a system that is not started. */
export function ownPorts(settings: StackSettings, { engine }: { engine: boolean }): PortName[] {
  const names: PortName[] = [];
  if (settings.redisAddr === undefined) names.push('redis');
  if (settings.kafkaAddr === undefined) names.push('kafka', 'kafkaController');
  if (settings.temporalAddress === undefined) names.push('temporal', 'temporalUi');
  if (!settings.isDatabaseGiven) names.push('postgres');
  if (!engine) return names;
  if (settings.paymentUrl === undefined) names.push('payment');
  return [...names, 'gateway', 'admin', 'ingest', 'worker', 'archiver'];
}

/** The processes of a killed stack end within 5 s. */
const STALE_MS_MAX = 8_000;
const LOOK_AGAIN_MS = 200;

/**
 * Throws a UserError that lists every port that is taken or set twice, with its variable. `patient`: waits for ports of
 * a stack that was just killed.
 */
export async function claimPorts(
  ports: Ports,
  names: readonly PortName[],
  { patient, signal }: { patient: boolean; signal: AbortSignal },
): Promise<void> {
  const twice = names.filter((name, at) => names.findIndex((n) => ports[n] === ports[name]) !== at);
  if (twice.length > 0) {
    throw new UserError(`Two parts want the same port: move ${list(ports, twice)}.`);
  }
  const deadline = Date.now() + (patient ? STALE_MS_MAX : 0);
  for (;;) {
    const taken = await takenPorts(ports, names);
    if (taken.length === 0) return;
    if (Date.now() >= deadline) {
      throw new UserError(
        `Already in use: ${list(ports, taken)}; stop what listens there, or set the variable in brackets to another port.`,
      );
    }
    await sleep(LOOK_AGAIN_MS, undefined, { signal });
  }
}

/** When this process has chosen a port: for a while nobody may listen on it yet, and another picker would find it free. */
const chosenAt = new Map<number, number>();
const STARTING_MS_MAX = 60_000;

/**
 * Returns a function that answers another free port each time, below the range from which the system takes the ports of
 * outgoing connections, so that no connection takes one between this choice and its use.
 */
export function createPortPicker(): () => Promise<number> {
  const chosen = new Set<number>();
  return async () => {
    for (;;) {
      const port = 20_000 + Math.floor(Math.random() * 12_000);
      const isStarting = Date.now() - (chosenAt.get(port) ?? 0) < STARTING_MS_MAX;
      if (chosen.has(port) || isStarting) continue;
      // Before it is looked at: two pickers may look at the same time.
      chosen.add(port);
      chosenAt.set(port, Date.now());
      if (!(await isTaken(port))) return port;
    }
  };
}

/** A free port for each name. */
export async function freePorts(): Promise<Ports> {
  const next = createPortPicker();
  return {
    gateway: await next(),
    admin: await next(),
    ingest: await next(),
    worker: await next(),
    archiver: await next(),
    payment: await next(),
    redis: await next(),
    kafka: await next(),
    kafkaController: await next(),
    temporal: await next(),
    temporalUi: await next(),
    postgres: await next(),
  };
}

async function takenPorts(ports: Ports, names: readonly PortName[]): Promise<PortName[]> {
  const taken = await Promise.all(names.map((name) => isTaken(ports[name])));
  return names.filter((_, at) => taken[at]);
}

function list(ports: Ports, names: readonly PortName[]): string {
  return names.map((name) => `port ${ports[name]} (${PORTS[name].variable})`).join(', ');
}
