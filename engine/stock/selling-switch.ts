import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { Gauge, register } from 'prom-client';
import type { Logger } from '../../platform/logger';
import { sharedCounter } from '../../platform/metrics';
import type { RedisConnection } from '../../platform/redis';
import { lookEvery, until } from '../../platform/until';

/**
 * Whether anything is sold at all, for every item at once. Nothing deletes the key: where it is missing, Redis has been
 * lost, or selling was never stopped.
 */
const SELLING_KEY = 'flash-sale:selling';

const SellingState = Type.Object({
  stopped: Type.Boolean(),
  at: Type.String(),
  by: Type.String(),
  why: Type.String(),
});
/** Who last stopped or resumed selling, when and why. */
export type SellingState = Readonly<Static<typeof SellingState>>;

export type SellingSwitch = ReturnType<typeof createSellingSwitch>;

/** Each method throws when Redis gives no answer. */
export function createSellingSwitch(redis: RedisConnection) {
  return {
    /** Undefined where Redis has none. Throws also for a value that was written by hand and cannot be read. */
    read: async (): Promise<SellingState | undefined> => parse(await redis.get(SELLING_KEY)),
    /** Returns the state before; undefined where there was none that can be read. */
    change: async (state: SellingState): Promise<SellingState | undefined> => {
      const before = await redis.set(SELLING_KEY, JSON.stringify(state), 'GET');
      try {
        return parse(before);
      } catch {
        return undefined;
      }
    },
    /** Writes the state where Redis has none: a change that was made meanwhile stays. */
    restore: async (state: SellingState): Promise<void> => {
      await redis.set(SELLING_KEY, JSON.stringify(state), 'NX');
    },
  };
}

function parse(text: string | null): SellingState | undefined {
  if (text === null) return undefined;
  const value: unknown = JSON.parse(text);
  if (Value.Check(SellingState, value)) return value;
  throw new Error(`${SELLING_KEY} in Redis is no state of the switch`);
}

/** Twice a second, so that a stop has its effect everywhere within one. A look is one GET. */
const LOOK_EVERY_MS = 500;

/** A process connects to Redis while it starts. It takes no purchases before this look, or this time, is over. */
const FIRST_READ_MS_MAX = 2_000;

export type SellingWatch = Awaited<ReturnType<typeof watchSelling>>;

/**
 * Follows the switch. While it cannot be read its last state holds, and before it was ever read nothing is sold: a restart
 * must not resume what was stopped. A stop that Redis has lost is written again.
 */
export async function watchSelling(
  { read, restore }: Pick<SellingSwitch, 'read' | 'restore'>,
  logger: Logger,
  /** Only tests shorten it. */
  firstReadMsMax = FIRST_READ_MS_MAX,
) {
  let state: SellingState | undefined;
  let isKnown = false;
  let isFaulty = false;
  const faults = sharedCounter({
    name: 'flash_sale_selling_switch_faults_total',
    help: 'Looks at the switch of selling that failed',
  });
  const isStopped = () => state?.stopped === true;
  exportStopped(isStopped);

  const follow = (found: SellingState | undefined) => {
    if (found?.stopped === true && !isStopped()) {
      logger.warn({ selling: found }, 'all selling is stopped');
    } else if (found?.stopped !== true && isStopped()) {
      logger.warn({ selling: found }, 'selling goes on');
    }
    state = found;
    isKnown = true;
  };
  const look = async (): Promise<void> => {
    try {
      const found = await read();
      if (found === undefined && state?.stopped === true) {
        logger.error('Redis has lost the stop of all selling: it is written again');
        await restore(state);
      } else {
        follow(found);
      }
      isFaulty = false;
    } catch (error) {
      faults.inc();
      if (!isFaulty) logger.error({ err: error }, 'the switch of selling cannot be read');
      isFaulty = true;
    }
  };
  const { signal } = new AbortController();
  const first = until(
    'the first look',
    async () => {
      follow(await read());
    },
    {
      withinMs: firstReadMsMax,
      signal,
    },
  );
  await first.catch(look);
  const { refresh, stop } = lookEvery(LOOK_EVERY_MS, look);

  return {
    /** Asked with each purchase. */
    standing: (): 'selling' | 'stopped' | 'unknown' => {
      if (!isKnown) return 'unknown';
      return isStopped() ? 'stopped' : 'selling';
    },
    /** Resolves once a look that began after this call has ended. Never rejects. */
    refresh,
    /** Buyers may read them, so without who it was and why. */
    warnings: (): string[] => [
      ...(state?.stopped === true
        ? [`all selling is stopped since ${state.at}: no purchases are accepted`]
        : []),
      ...(isFaulty
        ? [
            `the switch of selling cannot be read: ${isKnown ? 'its last state holds' : 'no purchases are accepted'}`,
          ]
        : []),
    ],
    stop,
  };
}

function exportStopped(isStopped: () => boolean): void {
  const name = 'flash_sale_selling_stopped';
  // A watch that is started later, as in tests, takes the place of the one before.
  register.removeSingleMetric(name);
  new Gauge({
    name,
    help: '1 while all selling is stopped',
    // The gateway processes behind one port follow the same switch.
    aggregator: 'max',
    collect() {
      this.set(isStopped() ? 1 : 0);
    },
  });
}
