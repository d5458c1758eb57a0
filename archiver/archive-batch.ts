import type { KafkaMessage } from 'kafkajs';
import {
  holeRow,
  project,
  setAside,
  type ArchivedLog,
  type Changes,
} from '../engine/archive/projection';
import { RefusedError, type ArchiveStore, type Place } from '../engine/archive/store';
import type { LogRecord } from '../engine/kafka/consumer';
import type { Call, Failpoints } from '../platform/failpoints';
import type { Logger } from '../platform/logger';
import { createRetries, Interruption, isCurrent, type Delivery } from './delivery';
import type { ArchiveMetrics } from './metrics';
import { createPositions, type Position } from './positions';

/** A larger transaction is hardly cheaper per record, and has more to repeat when it fails. */
const RECORDS_PER_TRANSACTION = 500;

export interface BatchArchiverDeps {
  readonly store: ArchiveStore;
  /** The archived topics. */
  readonly logs: ReadonlyMap<string, ArchivedLog>;
  /** The offset of the oldest record that a partition still has. */
  readonly logStart: (topic: string, partition: number) => Promise<bigint>;
  /** Where to read on. */
  readonly seek: (topic: string, partition: number, offset: bigint) => void;
  readonly failpoints: Failpoints<'archiver'>;
  readonly metrics: ArchiveMetrics;
  readonly logger: Logger;
}

/** The failpoint of each call that leaves this process. */
export const FAILPOINTS = {
  store: { positions: 'positions', write: 'write' },
  commit: 'commit',
} as const satisfies {
  readonly store: Record<keyof ArchiveStore, Call<'archiver'>>;
  readonly commit: Call<'archiver'>;
};

/**
 * Archives batches exactly once in effect. What counts is the position in PostgreSQL, which changes with the rows: records
 * below it are passed over, and where a batch begins behind it, reading goes back to it. The group's offsets in Kafka only
 * say where to begin to look. While PostgreSQL is away, the batch in hand waits for it.
 */
export function createBatchArchiver(deps: BatchArchiverDeps) {
  const { logs, failpoints, metrics, logger } = deps;
  const store = failpoints.around(deps.store, FAILPOINTS.store);
  const retries = createRetries({ metrics, logger });
  const positions = createPositions({ ...deps, store, retries });

  async function archiveBatch(delivery: Delivery): Promise<void> {
    const { topic, partition, messages, highWatermark } = delivery.batch;
    const last = messages.at(-1);
    if (!last || !isCurrent(delivery)) return;
    const end = BigInt(highWatermark);
    let position: Position;
    for (let isFirst = true; ; isFirst = false) {
      position = await positions.of(delivery);
      const hasGoneBack = position !== undefined && position > end;
      const from = hasGoneBack ? 0n : (position ?? 0n);
      const rest = messages.filter(({ offset }) => BigInt(offset) >= from);
      if (isFirst) {
        metrics.records.inc({ topic, outcome: 'repeated' }, messages.length - rest.length);
      }
      const [next] = rest;
      if (!next) break;
      metrics.waits(topic, partition, Number(next.timestamp));
      if (hasGoneBack) {
        metrics.faults.inc({ kind: 'log-gone-back' });
        const fields = { topic, partition, position: String(position), end: highWatermark };
        logger.error(fields, 'the log ends before what was archived of it: archiving it anew');
      }
      const first = BigInt(next.offset);
      const reached = await positions.reach(delivery, from, first);
      if (reached === 'elsewhere') return;
      const hole = reached === 'here' ? [] : [holeRow({ topic, partition, from, to: first })];
      const records = rest.slice(0, RECORDS_PER_TRANSACTION).map((one) => toRecord(delivery, one));
      await write({ delivery, from: position, hole }, records);
      await delivery.heartbeat();
    }
    // Also forward, past batches that were archived before.
    delivery.resolveOffset(String((position ?? 0n) - 1n));
    const isAtEnd = BigInt(delivery.batch.lastOffset()) + 1n >= end;
    metrics.waits(topic, partition, isAtEnd ? undefined : Number(last.timestamp));
    const partitions = [{ partition, offset: String(position) }];
    await failpoints.between(FAILPOINTS.commit, () =>
      delivery.commitOffsetsIfNecessary({ topics: [{ topic, partitions }] }),
    );
  }

  /** Writes records, or at least some of them, and moves the position behind them, unless somebody else has moved it. */
  async function write(at: WritePlace, records: readonly LogRecord[]): Promise<void> {
    const log = logs.get(at.delivery.batch.topic);
    const [record] = records;
    if (!log || !record) return;
    try {
      await writeChanges(at, records, project(log, records));
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      // Only the record that PostgreSQL refuses is set aside.
      if (records.length > 1) await write(at, records.slice(0, records.length / 2));
      else await writeChanges(at, records, setAside(record, error.message));
    }
  }

  async function writeChanges(
    { delivery, from, hole }: WritePlace,
    records: readonly LogRecord[],
    changes: Changes,
  ): Promise<void> {
    const { topic, partition } = delivery.batch;
    const to = BigInt(records.at(-1)?.offset ?? 0) + 1n;
    const stretch = { topic, partition, from, to };
    const all = { ...changes, set_aside: [...hole, ...changes.set_aside] };
    const counts = await retries.retried(delivery, () => store.write(stretch, all));
    if (!counts) {
      positions.forget(stretch);
      metrics.faults.inc({ kind: 'superseded' });
      logger.warn({ topic, partition }, 'the position has moved: going on from where it is');
      return;
    }
    positions.reached(stretch, to);
    metrics.records.inc({ topic, outcome: 'archived' }, records.length - changes.set_aside.length);
    for (const [table, rows] of Object.entries(counts)) metrics.rows.inc({ table }, rows);
    for (const { record_offset: offset, problem } of changes.set_aside) {
      metrics.records.inc({ topic, outcome: 'set-aside' });
      logger.error({ topic, partition, offset, problem }, 'a record cannot be archived: set aside');
    }
  }

  return {
    archive: async (delivery: Delivery): Promise<void> => {
      try {
        await archiveBatch(delivery);
      } catch (error) {
        if (!(error instanceof Interruption)) throw error;
      }
    },
    /** To be called after each (re)join. */
    joined: (partitions: readonly Place[]): void => {
      positions.joined(partitions);
      retries.reset();
    },
    returnToPositions: positions.returnTo,
    /** Whether PostgreSQL did not answer when it was last needed. */
    get isBlocked(): boolean {
      return retries.isBlocked;
    },
  };
}

interface WritePlace {
  readonly delivery: Delivery;
  readonly from: Position;
  /** What the log has lost before the records, if anything. */
  readonly hole: Changes['set_aside'];
}

function toRecord({ batch: { topic, partition } }: Delivery, message: KafkaMessage): LogRecord {
  const { offset, key, value, headers = {} } = message;
  return { topic, partition, offset, key, value, headers };
}
