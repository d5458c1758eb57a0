import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Env } from '../../platform/config';
import { UserError } from '../../platform/user-error';

/** Every port of the local stack: the variable that moves it, and where it lies otherwise. */
export const PORTS = {
  gateway: { variable: 'PORT', standard: 8080 },
  ingest: { variable: 'INGEST_PORT', standard: 9101 },
  worker: { variable: 'WORKER_PORT', standard: 9102 },
  payment: { variable: 'PAYMENT_PORT', standard: 8090 },
  redis: { variable: 'REDIS_PORT', standard: 6379 },
  kafka: { variable: 'KAFKA_PORT', standard: 19_092 },
  kafkaController: { variable: 'KAFKA_CONTROLLER_PORT', standard: 19_093 },
  temporal: { variable: 'TEMPORAL_PORT', standard: 7233 },
  temporalUi: { variable: 'TEMPORAL_UI_PORT', standard: 8233 },
} as const;

export type PortName = keyof typeof PORTS;
export type Ports = Readonly<Record<PortName, number>>;

/** What the environment decides about the local stack. */
export interface StackSettings {
  /** The checkout. */
  readonly root: string;
  /** Data and logs of this stack. */
  readonly dataDir: string;
  /** What was installed for all stacks of this user. */
  readonly cacheDir: string;
  readonly ports: Ports;
  /** Addresses given from outside: what they name is used, not started. */
  readonly redisAddr: string | undefined;
  readonly kafkaAddr: string | undefined;
  readonly temporalAddress: string | undefined;
  readonly temporalUiUrl: string | undefined;
  readonly paymentUrl: string | undefined;
  readonly temporalNamespace: string;
  readonly ordersTopic: string;
  readonly deadLetterTopic: string;
  /** The environment as it was given: every process inherits it. */
  readonly env: Env;
}

/** The stack's settings. `root` is the checkout. Throws a UserError for a port that is none or is given twice. */
export function loadStackSettings(env: Env, root: string): StackSettings {
  const text = (name: string) => env[name]?.trim() || undefined;
  return {
    root,
    dataDir: resolve(root, text('FLASH_SALE_DATA') ?? 'var'),
    cacheDir: resolve(text('FLASH_SALE_CACHE') ?? userCache(text('XDG_CACHE_HOME'))),
    ports: loadPorts(env),
    redisAddr: text('REDIS_ADDR'),
    kafkaAddr: text('KAFKA_ADDR'),
    temporalAddress: text('TEMPORAL_ADDRESS'),
    temporalUiUrl: text('TEMPORAL_UI_URL'),
    paymentUrl: text('PAYMENT_URL'),
    temporalNamespace: text('TEMPORAL_NAMESPACE') ?? 'default',
    ordersTopic: text('ORDERS_TOPIC') ?? 'orders',
    deadLetterTopic: text('DLQ_TOPIC') ?? 'orders-dlq',
    env,
  };
}

/** The ports that a stack with these settings listens on: none for what is given from outside. */
export function ownPorts(settings: StackSettings, { engine }: { engine: boolean }): PortName[] {
  const names: PortName[] = [];
  if (settings.redisAddr === undefined) names.push('redis');
  if (settings.kafkaAddr === undefined) names.push('kafka', 'kafkaController');
  if (settings.temporalAddress === undefined) names.push('temporal', 'temporalUi');
  if (!engine) return names;
  if (settings.paymentUrl === undefined) names.push('payment');
  return [...names, 'gateway', 'ingest', 'worker'];
}

function userCache(xdgCache: string | undefined): string {
  return join(xdgCache ?? join(homedir(), '.cache'), 'flash-sale-engine');
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
    ingest: port('ingest'),
    worker: port('worker'),
    payment: port('payment'),
    redis: port('redis'),
    kafka: port('kafka'),
    kafkaController: port('kafkaController'),
    temporal: port('temporal'),
    temporalUi: port('temporalUi'),
  };
}
