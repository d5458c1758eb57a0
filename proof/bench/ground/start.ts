import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '../../../platform/config';
import { removeAbandoned } from '../../../stack/ground/data-dir';
import { freePorts } from '../../../stack/ground/ports';
import type { Report } from '../../../stack/ground/report';
import type { Stack } from '../../../stack/stack';
import { startGenerator } from '../load/generator';
import { loadCheckout, ownCheckout, type Checkout } from './checkout';
import type { BenchContext } from './context';

const PREFIX = 'bench-';

export interface GroundOptions {
  readonly root: string;
  readonly env: Env;
  readonly quick: boolean;
  readonly against: string | undefined;
  readonly orders: readonly number[] | undefined;
  readonly connections: readonly number[] | undefined;
  readonly profileDir: string | undefined;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/**
 * Brings up Redis, Kafka and Temporal for this run alone, on free ports and in a folder of its own, runs `use`, and
 * removes all of it, whatever `use` does. What a killed run has left is removed by the next one.
 */
export async function onFreshGround<T>(
  options: GroundOptions,
  use: (context: BenchContext) => Promise<T>,
): Promise<T> {
  const { root } = options;
  removeAbandoned(join(root, 'var'), PREFIX);
  const dataDir = join(root, 'var', `${PREFIX}${process.pid}`);
  const env = withoutAddresses(options.env);
  const checkout = ownCheckout(root);
  const against = options.against === undefined ? undefined : loadCheckout(options.against);
  if (options.profileDir !== undefined) mkdirSync(options.profileDir, { recursive: true });
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const stack = await startServers(checkout, { ...options, env, dataDir });
    stops.push(stack.stop);
    const generator = startGenerator();
    const stopGenerator = () => {
      generator.stop();
      return Promise.resolve();
    };
    stops.push(stopGenerator);
    return await use({
      ...options,
      env,
      checkout,
      against,
      stack,
      dataDir,
      generator,
      onEnd: (stop) => stops.push(stop),
    });
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** The same bench on servers of another checkout's own, which run beside those of this one. */
export async function withServersOf(
  context: BenchContext,
  checkout: Checkout,
): Promise<BenchContext> {
  const dataDir = join(context.dataDir, 'against');
  const stack = await startServers(checkout, { ...context, dataDir });
  context.onEnd(stack.stop);
  return { ...context, checkout, stack, dataDir };
}

/** Redis, Kafka and Temporal, on free ports, started by the checkout's own code. */
async function startServers(
  checkout: Checkout,
  { env, dataDir, report, signal }: Pick<BenchContext, 'env' | 'dataDir' | 'report' | 'signal'>,
): Promise<Stack> {
  const settings = {
    ...checkout.loadStackSettings(env, checkout.root),
    dataDir,
    ports: await freePorts(),
  };
  return checkout.startStack({ settings, engine: false, fresh: true, report, signal });
}

/** A running stack is somebody's, and a bench fills what it finds. */
function withoutAddresses(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ADDRESSES.includes(name)));
}

const ADDRESSES = ['REDIS_ADDR', 'KAFKA_ADDR', 'TEMPORAL_ADDRESS', 'PAYMENT_URL'];
