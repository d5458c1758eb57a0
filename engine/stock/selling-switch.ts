import { Type, type Static } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { Gauge, register } from 'prom-client';
import type { Logger } from '../../platform/logger';
import { sharedCounter } from '../../platform/metrics';
import type { RedisConnection } from '../../platform/redis';
import { lookEvery, until } from '../../platform/until';
import { invariant } from '../orders/invariant';
import { defineSellingScript } from './scripts';

/**
 * Whether anything is sold at all, for every item at once. Nothing deletes the key: where it is missing, Redis has been
 * lost, or selling was never stopped.
 */
export const SELLING_KEY = 'flash-sale:selling';

/** In the year 2286. Lua writes no more digits exactly, and above a larger one no change would ever be newer. */
const REVISION_MAX = 9_999_999_999_999;

const StoredState = Type.Object({
  stopped: Type.Boolean(),
  at: Type.String(),
  by: Type.String(),
  /** Null in what the gateway records of a change without a reason. */
  why: Type.Union([Type.String(), Type.Null()]),
  /** Absent in a state that is older than revisions. */
  revision: Type.Optional(Type.Integer({ minimum: 0, maximum: REVISION_MAX })),
});
/**
 * Who last stopped or resumed selling, when and why. Each change has a larger revision than those before it: the time of
 * Redis in milliseconds, or one more than the revision before.
 */
export type SellingState = Readonly<Required<Static<typeof StoredState>> & { why: string }>;
export type SellingChange = Omit<SellingState, 'revision'>;

export type SellingSwitch = ReturnType<typeof createSellingSwitch>;

/** Each method throws when Redis gives no answer. */
export function createSellingSwitch(redis: RedisConnection) {
  defineSellingScript(redis);
  const write = async (state: SellingChange, revision: number | '') => {
    const replies = await redis.changeSelling(SELLING_KEY, JSON.stringify(state), revision);
    return replies as [before: string, after: string];
  };
  return {
    /** Undefined where Redis has none. Throws also for a value that was written by hand and cannot be read. */
    read: async (): Promise<SellingState | undefined> => {
      const text = await redis.get(SELLING_KEY);
      if (text === null) return undefined;
      const state = parseSellingState(parseJson(text));
      if (!state) throw new Error(`${SELLING_KEY} in Redis is no state of the switch`);
      return state;
    },
    /** `before` is undefined where there was no state that can be read. Of two changes at once the second one holds. */
    change: async (
      state: SellingChange,
    ): Promise<{ readonly before: SellingState | undefined; readonly after: SellingState }> => {
      const [before, written] = (await write(state, '')).map((text) =>
        parseSellingState(parseJson(text)),
      );
      invariant(written !== undefined, 'the switch is what was written');
      return { before, after: written };
    },
    /** Writes a state that Redis has lost. A newer one stays. */
    restore: async (state: SellingState): Promise<void> => {
      await write(state, state.revision);
    },
  };
}

/** Undefined for what is no state of the switch. */
export function parseSellingState(value: unknown): SellingState | undefined {
  if (!Value.Check(StoredState, value)) return undefined;
  const { stopped, at, by, why, revision = Date.parse(at) } = value;
  return Number.isNaN(revision) ? undefined : { stopped, at, by, why: why ?? '', revision };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Twice a second, so that a stop has its effect everywhere within one. A look is one GET. */
const LOOK_EVERY_MS = 500;

/** A process connects to Redis while it starts. It takes no purchases before this look, or this time, is over. */
const FIRST_READ_MS_MAX = 2_000;

/**
 * Reading the record takes some 100 ms, or four seconds with Kafka's own delay of a new group. A record that cannot be read
 * for longer, though Kafka takes orders, keeps nothing from being sold. A long one that is being read does.
 */
const RECORD_MS_MAX = 10_000;
const RECORD_LOOK_EVERY_MS = 1_000;

export type SellingWatch = Awaited<ReturnType<typeof watchSelling>>;

/**
 * Follows the switch to ever newer states. While it cannot be read its last state holds, and before it was ever read nothing
 * is sold: a restart must not resume what was stopped. A state that Redis has lost holds as well, and is written again: this
 * process knows it, or finds it in the record of what operators do.
 */
export async function watchSelling(
  { read, restore }: Pick<SellingSwitch, 'read' | 'restore'>,
  /** The newest recorded state. It may leave out those that are older than a revision. */
  readRecord: (sinceRevision: number, onProgress: () => void) => Promise<SellingState | undefined>,
  logger: Logger,
  /** Only tests shorten them. */
  { firstReadMsMax = FIRST_READ_MS_MAX, recordMsMax = RECORD_MS_MAX } = {},
) {
  let state: SellingState | undefined;
  let isRead = false;
  let isFaulty = false;
  /** Whether Redis was seen without the last state, and has not got it back yet. */
  let isLost = false;
  const faults = sharedCounter({
    name: 'flash_sale_selling_switch_faults_total',
    help: 'Looks at the switch of selling that failed',
  });
  const isStopped = () => state?.stopped === true;
  exportStopped(isStopped);

  const follow = (found: SellingState | undefined) => {
    if (!found || found.revision <= (state?.revision ?? 0)) return;
    if (found.stopped !== isStopped()) {
      logger.warn({ selling: found }, found.stopped ? 'all selling is stopped' : 'selling goes on');
    }
    state = found;
  };
  const readSwitch = async () => {
    const found = await read();
    isRead = true;
    follow(found);
    return found;
  };
  const look = async (): Promise<void> => {
    try {
      const found = await readSwitch();
      if (state && state.revision > (found?.revision ?? 0)) {
        const lost = { selling: state, found };
        if (!isLost) logger.error(lost, 'Redis has lost the last state of the switch of selling');
        isLost = true;
        await restore(state);
      }
      [isLost, isFaulty] = [false, false];
    } catch (error) {
      faults.inc();
      if (!isFaulty) logger.error({ err: error }, 'the switch of selling cannot be read');
      isFaulty = true;
    }
  };
  const { signal } = new AbortController();
  await until('the first look', readSwitch, { withinMs: firstReadMsMax, signal }).catch(look);
  const { refresh, stop } = lookEvery(LOOK_EVERY_MS, look);

  const record = watchRecord(logger, recordMsMax, async (onProgress) => {
    follow(await readRecord(state?.revision ?? 0, onProgress));
  });

  return {
    /** Asked with each purchase. */
    standing: (): 'selling' | 'stopped' | 'unknown' => {
      if (isStopped()) return 'stopped';
      return isRead && record.isKnown() ? 'selling' : 'unknown';
    },
    /** Resolves once the record was read, or its time is over: purchases before that are refused. */
    whenKnown: record.whenKnown,
    /** Kafka takes orders: from now on the record has a limited time. Before that nothing can be sold anyway. */
    limitRecord: record.limit,
    /** Follows a change that this process has made, since Redis may lose it before the next look. */
    follow,
    /** Resolves once a look that began after this call has ended. Never rejects. */
    refresh,
    /** Buyers may read them, so without who it was and why. */
    warnings: (): string[] => [
      ...(state?.stopped === true
        ? [`all selling is stopped since ${state.at}: no purchases are accepted`]
        : []),
      ...(isFaulty
        ? [
            `the switch of selling cannot be read: ${isRead ? 'its last state holds' : 'no purchases are accepted'}`,
          ]
        : []),
      ...record.warnings(),
    ],
    stop: () => {
      stop();
      record.stop();
    },
  };
}

/** Tries to read the record until it is read. It is known then, or `msMax` after the limit was set or the last progress. */
function watchRecord(
  logger: Logger,
  msMax: number,
  read: (onProgress: () => void) => Promise<void>,
) {
  let isRead = false;
  let isOverdue = false;
  let isFaulty = false;
  let overdue: NodeJS.Timeout | undefined;
  let setKnown: () => void;
  const whenKnown = new Promise<void>((resolve) => {
    setKnown = resolve;
  });
  const { lookOnce, stop } = lookEvery(RECORD_LOOK_EVERY_MS, async () => {
    try {
      await read(() => overdue?.refresh());
      isRead = true;
      setKnown();
      stop();
    } catch (error) {
      if (!isFaulty) {
        logger.error({ err: error }, 'the recorded states of the switch of selling cannot be read');
      }
      isFaulty = true;
    }
  });
  void lookOnce();
  return {
    isKnown: () => isRead || isOverdue,
    whenKnown,
    limit: (): void => {
      overdue ??= setTimeout(() => {
        isOverdue = true;
        setKnown();
      }, msMax).unref();
    },
    warnings: (): string[] =>
      isFaulty && !isRead
        ? [
            `the recorded states of the switch of selling cannot be read: ${isOverdue ? 'it is as Redis has it' : 'no purchases are accepted'}`,
          ]
        : [],
    stop: () => {
      stop();
      clearTimeout(overdue);
    },
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
