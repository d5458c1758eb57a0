import { Partitioners } from 'kafkajs';
import type { PartitionLane } from './partition-lane';

/**
 * How records find their partition. `by-key`: equal keys share one, the one every standard client chooses. `by-batch`:
 * what comes together goes together, for records whose order among one another does not matter. Over six partitions
 * that makes batches up to six times as large, and a batch costs the client and the broker more than a record does.
 */
export type Spread = 'by-key' | 'by-batch';

/** Answers the partition of the next record, given its key. */
export function createSpread(
  spread: Spread,
  topic: string,
  lanes: readonly PartitionLane[],
): (key: string) => number {
  return spread === 'by-key' ? spreadByKey(topic, lanes.length) : spreadByBatch(lanes);
}

function spreadByKey(topic: string, partitions: number): (key: string) => number {
  const partitioner = Partitioners.DefaultPartitioner();
  const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 0,
    replicas: [],
    isr: [],
  }));
  return (key) => partitioner({ topic, partitionMetadata, message: { key, value: null } });
}

/**
 * Fills one lane until its batch is sent, then turns to an idle one. While all are sending, records gather in one of
 * them; as soon as any is idle again it gets what comes next, so that a partition without a leader holds up only what
 * it was given before.
 */
function spreadByBatch(lanes: readonly PartitionLane[]): () => number {
  let current = 0;
  /** The first from the one after the current that `fits`, round to the current one. */
  const find = (fits: (lane: PartitionLane) => boolean): number | undefined => {
    for (let step = 1; step <= lanes.length; step++) {
      const index = (current + step) % lanes.length;
      const lane = lanes[index];
      if (lane && fits(lane)) return index;
    }
    return undefined;
  };
  return () => {
    const gathering = lanes[current];
    if (gathering && !gathering.isSending() && gathering.queued() > 0) return current;
    const idle = find((lane) => !lane.isSending() && lane.queued() === 0);
    if (idle !== undefined) return (current = idle);
    if (gathering && gathering.queued() > 0 && !gathering.isFull()) return current;
    const shortest = Math.min(...lanes.map((lane) => lane.queued()));
    return (current = find((lane) => lane.queued() === shortest) ?? current);
  };
}
