import { randomUUID } from 'node:crypto';
import { KafkaJSDeleteGroupsError, type Admin, type Consumer, type Kafka } from 'kafkajs';
import type { LogRecord } from './consumer';
import { withAdmin } from './topics';
import { within } from './within';

/**
 * Hands every record from `fromOffset` (in every partition) to what is the end of the log at the time of the call to
 * `onRecord`. Commits nothing and leaves no consumer group behind. Throws when Kafka does not deliver them in `msMax`.
 */
export async function readLog(
  kafka: Kafka,
  topic: string,
  { fromOffset, msMax }: { readonly fromOffset: string; readonly msMax: number },
  onRecord: (record: LogRecord) => void,
): Promise<void> {
  const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic));
  const ranges = offsets
    .map(({ partition, low, high }) => {
      const first = BigInt(fromOffset) > BigInt(low) ? BigInt(fromOffset) : BigInt(low);
      return { partition, next: first, end: BigInt(high) };
    })
    .filter(({ next, end }) => next < end);
  if (ranges.length === 0) return;

  // A group of its own: the records are wanted from the start, every time, whoever else is reading.
  const groupId = `${topic}-reader-${randomUUID()}`;
  const consumer = kafka.consumer({
    ...{ groupId, allowAutoTopicCreation: false },
    maxWaitTimeInMs: IDLE_FETCH_MS_MAX,
  });
  try {
    await within(consume(consumer, topic, ranges, onRecord), msMax, `reading ${topic}`);
  } finally {
    await within(consumer.disconnect(), msMax, `closing the reader of ${topic}`);
  }
  await withAdmin(kafka, (admin) => forgetGroup(admin, groupId));
}

/** Closing waits for the fetch under way: with the library's 5 s, a broker without anything new held every reading up so long. */
const IDLE_FETCH_MS_MAX = 200;

/** A group that never committed also fades by itself, which is why a failed read need not come this far. */
async function forgetGroup(admin: Admin, groupId: string): Promise<void> {
  try {
    await admin.deleteGroups([groupId]);
  } catch (error) {
    const gone =
      error instanceof KafkaJSDeleteGroupsError &&
      error.groups.every((group) => group.error?.type === 'GROUP_ID_NOT_FOUND');
    if (!gone) throw error;
  }
}

/** What is still to be read of a partition: from `next`, up to but without `end`. */
interface Range {
  readonly partition: number;
  next: bigint;
  readonly end: bigint;
}

async function consume(
  consumer: Consumer,
  topic: string,
  ranges: readonly Range[],
  onRecord: (record: LogRecord) => void,
): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      if (!restart) reject(error);
    });
    const eachBatch: Parameters<typeof consumer.run>[0] = {
      autoCommit: false,
      eachBatch: ({ batch }) => {
        const range = ranges.find(({ partition }) => partition === batch.partition);
        for (const { headers = {}, ...message } of batch.messages) {
          const offset = BigInt(message.offset);
          if (!range || offset < range.next || offset >= range.end) continue;
          onRecord({ topic, partition: batch.partition, ...message, headers });
        }
        // By the batch, not by its records: the last offsets may be markers that are never shown.
        const next = BigInt(batch.lastOffset()) + 1n;
        // A fetch from before the seek may still arrive; it must not turn the reading back.
        if (range && next > range.next) range.next = next;
        if (ranges.every(({ next, end }) => next >= end)) resolve();
        return Promise.resolve();
      },
    };
    // With every joining: a consumer that crashes on its way starts anew, at the beginning of the log, and until it has
    // joined the library refuses to seek.
    consumer.on(consumer.events.GROUP_JOIN, () => {
      for (const { partition, next } of ranges) {
        consumer.seek({ topic, partition, offset: String(next) });
      }
    });
    consumer.run(eachBatch).catch(reject);
  });
}
