import type { Consumer, IHeaders } from 'kafkajs';
import type { Logger } from '../../platform/logger';

export interface LogRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: IHeaders;
}

/** One fetch of one partition. */
export interface Batch {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly {
    readonly offset: string;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers?: IHeaders;
  }[];
  /** The next offset that the log will give. */
  readonly highWatermark: string;
}

/**
 * `read`: the records that were not known yet. `gap`: records before these are missing, and reading has to go back to
 * `from`.
 */
export type Accepted =
  | { readonly kind: 'read'; readonly records: readonly LogRecord[] }
  | { readonly kind: 'gap'; readonly from: string };

export const READ_AHEAD = {
  /**
   * Of all records that wait in this process, shared out among its partitions: some 35,000 orders. So many orders of a
   * hot item may wait without delaying another item; a record beyond them is not known yet.
   */
  bytesMax: 32 * 1024 * 1024,
  /**
   * Between the committed offset of a partition and the last one read. So many records are delivered again after a kill,
   * and so far the other items go on while one record cannot be finished.
   */
  uncommittedMax: 10_000,
};

/** What the objects of a record take beside its bytes. */
const BYTES_PER_RECORD = 600;

/** How far a process had read and committed a partition. */
interface Progress {
  readonly committed: bigint;
  readonly readTo: bigint;
}

export type PartitionLog = ReturnType<typeof createPartitionLog>;

/** What this process knows of a partition: what it has read, what of that is not finished, and what is committed. */
export function createPartitionLog(options: {
  readonly number: number;
  /** Where the partition was left when this process had it before. */
  readonly before?: Progress | undefined;
  /** The bytes that may wait now. */
  readonly bytesMax: () => number;
  readonly uncommittedMax: number;
  readonly setPaused: (paused: boolean) => void;
  readonly logger: Logger;
}) {
  const { number, before, bytesMax, uncommittedMax, setPaused, logger } = options;
  /** In the order of the log. */
  const unfinished = new Set<LogRecord>();
  let bytes = 0;
  let paused = false;
  let assigned = true;
  /** The next offset to read; undefined before the first batch, which begins at the committed offset. */
  let readTo: bigint | undefined;
  let committed = 0n;
  let committedBefore = 0n;
  let end = 0n;
  let gapAt: bigint | undefined;

  /** Resumes at half of the bound, so that reading does not stop and go with each record. */
  function pauseOrResume(): void {
    const uncommitted = Number((readTo ?? committed) - committed);
    const filled = Math.max(bytes / bytesMax(), uncommitted / uncommittedMax);
    if (!assigned || (paused ? filled > 0.5 : filled < 1)) return;
    paused = !paused;
    setPaused(paused);
  }

  function position(): bigint {
    for (const { offset } of unfinished) return BigInt(offset);
    return readTo ?? committed;
  }

  /**
   * Where the first batch begins. A fetch that was under way at the join begins where the process had read to, behind
   * records that are not finished; whatever lies behind that is what other members have committed meanwhile.
   */
  function beginning(from: bigint): bigint {
    const isOfBefore = before && before.committed < from && from <= before.readTo;
    return isOfBefore ? before.committed : from;
  }

  return {
    number,
    get progress(): Progress | undefined {
      return readTo === undefined ? before : { committed, readTo };
    },
    /** False once the partition has moved to another member. */
    get assigned(): boolean {
      return assigned;
    },
    /** Up to here every record is finished. */
    position,
    /** What to commit, if anything. */
    uncommitted: (): bigint | undefined => (position() > committed ? position() : undefined),
    /** Records behind the end of the log, as of the last fetch. */
    lag: (): number => Math.max(0, Number(end - position())),

    /**
     * Whether the log has lost records that were read, so that others may have their offsets: the topic was made again, or
     * its end is gone. kafkajs then reads from the earliest offset. A join may begin at what was committed before the last
     * commit, and no earlier.
     */
    hasGoneBack(batch: Batch): boolean {
      if (readTo === undefined) return false;
      return BigInt(batch.highWatermark) < readTo || firstOffset(batch) < committedBefore;
    },

    accept(batch: Batch): Accepted {
      const { topic, messages, highWatermark } = batch;
      const from = firstOffset(batch);
      readTo ??= committed = committedBefore = beginning(from);
      if (from > readTo) {
        const hole = { partition: number, from: String(readTo), to: String(from) };
        if (gapAt !== readTo) {
          gapAt = readTo;
          logger.warn(
            hole,
            'a fetch begins behind the records that were read: reading these first',
          );
          return { kind: 'gap', from: hole.from };
        }
        logger.error(hole, 'records were deleted from the log before they were read');
      }
      end = BigInt(highWatermark);
      const records: LogRecord[] = [];
      for (const { offset, key, value, headers = {} } of messages) {
        if (BigInt(offset) < readTo) continue;
        const record = { topic, partition: number, offset, key, value, headers };
        readTo = BigInt(offset) + 1n;
        unfinished.add(record);
        bytes += sizeOf(record);
        records.push(record);
      }
      pauseOrResume();
      return { kind: 'read', records };
    },

    finish(record: LogRecord): void {
      if (!unfinished.delete(record)) return;
      bytes -= sizeOf(record);
      pauseOrResume();
    },

    committedTo(offset: bigint): void {
      committedBefore = committed;
      committed = offset;
      pauseOrResume();
    },

    /** Ends it. A pause would outlive the assignment. */
    leave(): void {
      assigned = false;
      if (paused) setPaused(false);
    },
  };
}

function firstOffset({ messages, highWatermark }: Batch): bigint {
  return BigInt(messages[0]?.offset ?? highWatermark);
}

function sizeOf({ key, value }: LogRecord): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + BYTES_PER_RECORD;
}

export type Assignment = ReturnType<typeof createAssignment>;

/** The partitions that this process consumes. */
export function createAssignment(
  consumer: Pick<Consumer, 'pause' | 'resume'>,
  topic: string,
  logger: Logger,
) {
  const partitions = new Map<number, PartitionLog>();
  /** Of partitions that were left, and may come back while an old fetch is under way. */
  const left = new Map<number, Progress>();
  let member: string | undefined;

  function open(number: number, before?: Progress): PartitionLog {
    const place = [{ topic, partitions: [number] }];
    return createPartitionLog({
      number,
      before,
      bytesMax: () => READ_AHEAD.bytesMax / partitions.size,
      uncommittedMax: READ_AHEAD.uncommittedMax,
      setPaused: (paused) => {
        if (paused) consumer.pause(place);
        else consumer.resume(place);
      },
      logger,
    });
  }

  return {
    partitions: partitions as ReadonlyMap<number, PartitionLog>,
    /**
     * After each (re)join, when kafkajs reads again from the committed offsets. As long as the group knows the process as
     * the same member, nobody else has a partition that it keeps: what is known of it stays, and records that come again
     * are passed over. Everything else begins anew.
     */
    assign(numbers: readonly number[], memberId: string): void {
      for (const partition of partitions.values()) {
        if (memberId === member && numbers.includes(partition.number)) continue;
        partition.leave();
        partitions.delete(partition.number);
        if (partition.progress) left.set(partition.number, partition.progress);
      }
      member = memberId;
      for (const number of numbers) {
        if (!partitions.has(number)) partitions.set(number, open(number, left.get(number)));
      }
    },

    /** What is known of the partition of a batch; it begins anew where the log has gone back. */
    logOf(batch: Batch): PartitionLog | undefined {
      const { partition: number, highWatermark } = batch;
      const partition = partitions.get(number);
      if (!partition?.hasGoneBack(batch)) return partition;
      const readTo = String(partition.progress?.readTo);
      const fields = { partition: number, readTo, end: highWatermark };
      logger.error(fields, 'the log has lost records that were read: reading it anew');
      partition.leave();
      const anew = open(number);
      partitions.set(number, anew);
      return anew;
    },
  };
}
