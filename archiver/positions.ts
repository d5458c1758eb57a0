import { nameOf, type ArchiveStore, type Place } from '../engine/archive/store';
import type { Logger } from '../platform/logger';
import { alive, type createRetries, type Delivery } from './delivery';
import type { ArchiveMetrics } from './metrics';

/** A fetch that was under way may still bring a batch from before a seek. */
const SEEKS_MAX = 3;

/** Up to where a partition is archived; undefined: nothing of it is. */
export type Position = bigint | undefined;

/** The positions of the assigned partitions, as far as this process knows. */
export function createPositions(options: {
  readonly store: Pick<ArchiveStore, 'positions'>;
  readonly retries: Pick<ReturnType<typeof createRetries>, 'retried'>;
  /** The offset of the oldest record that a partition still has. */
  readonly logStart: (topic: string, partition: number) => Promise<bigint>;
  /** Where to read on. */
  readonly seek: (topic: string, partition: number, offset: bigint) => void;
  readonly metrics: Pick<ArchiveMetrics, 'lost'>;
  readonly logger: Logger;
}) {
  const { store, retries, logStart, seek, metrics, logger } = options;
  const known = new Map<string, Position>();
  const seeks = new Map<string, { readonly target: bigint; readonly times: number }>();
  let assigned: readonly Place[] = [];

  return {
    /** Asks PostgreSQL the first time. */
    of: async (delivery: Delivery): Promise<Position> => {
      const name = nameOf(delivery.batch);
      if (!known.has(name)) {
        const found = await retries.retried(delivery, () => store.positions());
        known.set(name, found.get(name));
      }
      return known.get(name);
    },
    reached: (place: Place, position: bigint): void => {
      known.set(nameOf(place), position);
      seeks.delete(nameOf(place));
    },
    /** Somebody else has moved it. */
    forget: (place: Place): void => {
      known.delete(nameOf(place));
    },
    /** Others may have archived what this process had before. */
    joined: (partitions: readonly Place[]): void => {
      assigned = partitions;
      known.clear();
      seeks.clear();
    },

    /**
     * Whether a batch begins where archiving has to go on: `here`, or behind a hole of records that are not in the log any
     * more, which are told of. `elsewhere`: reading goes back to there.
     */
    reach: async (
      delivery: Delivery,
      from: bigint,
      first: bigint,
    ): Promise<'here' | 'elsewhere' | 'behind-a-hole'> => {
      if (first === from) return 'here';
      const { topic, partition } = delivery.batch;
      const name = nameOf(delivery.batch);
      const start = await alive(delivery, logStart(topic, partition));
      const target = start > from ? start : from;
      const before = seeks.get(name);
      const times = before?.target === target ? before.times : 0;
      if (first > target && times < SEEKS_MAX) {
        seeks.set(name, { target, times: times + 1 });
        seek(topic, partition, target);
        return 'elsewhere';
      }
      const hole = { topic, partition, from: String(from), to: String(first) };
      if (known.get(name) === undefined) {
        logger.warn(hole, 'the log has lost its first records before there was an archive');
        return 'here';
      }
      metrics.lost.inc({ topic }, Number(first - from));
      logger.error(hole, 'records are gone from the log that were not archived');
      return 'behind-a-hole';
    },

    /**
     * Reads on from the positions in PostgreSQL: after a join, and where one is older than it was, because a backup was
     * restored or a replica has taken over. Without it they would count only when the next record comes.
     */
    returnTo: async (): Promise<void> => {
      const before = { assigned, known: new Map(known) };
      const found = await store.positions();
      if (before.assigned !== assigned) return;
      for (const place of assigned) {
        const name = nameOf(place);
        const position = found.get(name);
        const now = known.get(name);
        const isOlder = (position ?? 0n) < (now ?? 0n) && before.known.get(name) === now;
        if (known.has(name) && !isOlder) continue;
        if (isOlder) {
          const fields = { ...place, was: String(now), is: String(position) };
          logger.warn(fields, 'a position is older than it was: archiving again from there');
        }
        known.set(name, position);
        seek(place.topic, place.partition, position ?? 0n);
      }
    },
  };
}
