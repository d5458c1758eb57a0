import type { Kafka } from 'kafkajs';
import { withAdmin } from './topics';

/** Whether a group has finished every record that a topic holds at the time of the call. */
export function isLogRead(kafka: Kafka, topic: string, groupId: string): Promise<boolean> {
  return withAdmin(kafka, async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic);
    const [read] = await admin.fetchOffsets({ groupId, topics: [topic] });
    const readTo = new Map(read?.partitions.map(({ partition, offset }) => [partition, offset]));
    // A partition without a committed offset (-1) was not read, unless it holds nothing.
    return ends.every(
      ({ partition, low, high }) =>
        low === high || BigInt(readTo.get(partition) ?? -1) >= BigInt(high),
    );
  });
}
