import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { decodeDeadLetter } from '../../../engine/kafka/dead-letters';
import type { DeadLetter } from '../../../engine/orders/dead-letter';
import { decodeOrder } from '../../../engine/orders/order-record';
import { withAdmin } from '../../../engine/kafka/topics';
import { until } from '../../../platform/until';

export interface LogTap {
  /** Resolves once everything that is in both topics now has been read. */
  readonly catchUp: (signal: AbortSignal) => Promise<void>;
  /** The request_ids of an item's order records, repeats included. */
  readonly records: (itemId: string) => readonly string[];
  /** An item's dead letters, repeats included. */
  readonly letters: (itemId: string) => readonly DeadLetter[];
  readonly close: () => Promise<void>;
}

const CATCH_UP_MS_MAX = 30_000;

/** Reads along in both topics from their beginning, with a group of its own: what is in the log, whoever says what of it. */
export async function openLogTap(
  kafka: Kafka,
  { ordersTopic, deadLetterTopic }: { ordersTopic: string; deadLetterTopic: string },
): Promise<LogTap> {
  const topics = [ordersTopic, deadLetterTopic];
  const records = new Map<string, string[]>();
  const letters = new Map<string, DeadLetter[]>();
  const read = new Map<string, bigint>();
  const consumer = kafka.consumer({
    groupId: `tap-${randomUUID()}`,
    allowAutoTopicCreation: false,
  });
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      const { topic, partition, messages } = batch;
      for (const { headers = {}, ...message } of messages) {
        if (topic === ordersTopic) {
          const decoded = decodeOrder(message.value);
          if (decoded.kind !== 'order') continue;
          add(records, decoded.order.itemId, decoded.order.requestId);
        } else {
          const letter = decodeDeadLetter({ topic, partition, ...message, headers });
          add(letters, letter.itemId ?? '', letter);
        }
      }
      read.set(`${topic}:${String(partition)}`, BigInt(batch.lastOffset()) + 1n);
      return Promise.resolve();
    },
  });

  const unread = async () => {
    const ends = await withAdmin(kafka, (admin) =>
      Promise.all(
        topics.map(async (topic) => ({ topic, offsets: await admin.fetchTopicOffsets(topic) })),
      ),
    );
    return ends.flatMap(({ topic, offsets }) =>
      offsets
        .map(({ partition, high }) => ({ place: `${topic}:${String(partition)}`, high }))
        .filter(({ place, high }) => (read.get(place) ?? 0n) < BigInt(high)),
    );
  };
  return {
    catchUp: (signal) =>
      until(
        'the log was not read to its end',
        async () => {
          const left = await unread();
          if (left.length > 0) throw new Error(`unread: ${JSON.stringify(left)}`);
        },
        { withinMs: CATCH_UP_MS_MAX, signal },
      ),
    records: (itemId) => records.get(itemId) ?? [],
    letters: (itemId) => letters.get(itemId) ?? [],
    close: () => consumer.disconnect(),
  };
}

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
