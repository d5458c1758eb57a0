import { randomUUID } from 'node:crypto';
import { KafkaJSDeleteGroupsError, type Admin, type Consumer, type Kafka } from 'kafkajs';
import type { LogRecord } from './consumer';
import type { DeadLetter, DeadLetterMark } from './dead-letter';
import { decodeDeadLetter, decodeMark, encodeDeadLetter, encodeMark } from './dead-letter-record';
import type { SafeProducer } from './safe-producer';
import { withAdmin } from './topics';
import { within } from './within';

export interface DeadLetterWriter {
  /** Resolves once Kafka has the letter, perhaps twice. Rejects as the producer's `append` does. */
  write(letter: DeadLetter): Promise<void>;
}

/** Writes dead letters through a producer that was made for the dead-letter topic. */
export function createDeadLetterWriter(producer: Pick<SafeProducer, 'append'>): DeadLetterWriter {
  return {
    write: async (letter) => {
      await producer.append(encodeDeadLetter(letter));
    },
  };
}

export interface MarkWriter {
  /** Resolves once Kafka has the mark, perhaps twice. Rejects as the producer's `append` does. */
  mark(letter: DeadLetter, mark: Omit<DeadLetterMark, 'letterId'>): Promise<void>;
}

/** Writes marks through a producer that was made for the dead-letter topic. */
export function createMarkWriter(producer: Pick<SafeProducer, 'append'>): MarkWriter {
  return {
    mark: async (letter, mark) => {
      await producer.append(encodeMark(letter, mark));
    },
  };
}

/** A dead letter, its place in the dead-letter topic, and what was done about it, oldest first; absent: nothing. */
export interface StoredDeadLetter extends DeadLetter {
  readonly partition: number;
  readonly offset: string;
  readonly marks?: readonly DeadLetterMark[];
}

export interface ReadOptions {
  /** First offset to read, in every partition; absent: the beginning. */
  readonly fromOffset?: string;
  /** Letters to return at most, the oldest of each partition first. */
  readonly max?: number;
  readonly msMax?: number;
}

/** What one answer to an operator may hold in memory. */
const LETTERS_MAX = 10_000;
/** Joining a group takes up to 3 s on a broker with default settings, reading ten thousand letters about one. */
const READ_MS_MAX = 30_000;

/**
 * The letters from `fromOffset` to what is the end of the log at the time of the call, repeats dropped by id, each with
 * the marks up to that end, also where `max` leaves letters out. Commits nothing and leaves no consumer group behind. Throws when Kafka does not deliver them in `msMax`.
 */
export async function readDeadLetters(
  kafka: Kafka,
  topic: string,
  { fromOffset = '0', max = LETTERS_MAX, msMax = READ_MS_MAX }: ReadOptions = {},
): Promise<readonly StoredDeadLetter[]> {
  const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic));
  const ranges = offsets
    .map(({ partition, low, high }) => {
      const first = BigInt(fromOffset) > BigInt(low) ? BigInt(fromOffset) : BigInt(low);
      return { partition, next: first, end: BigInt(high) };
    })
    .filter(({ next, end }) => next < end);
  if (ranges.length === 0) return [];

  // A group of its own: the letters are wanted from the start, every time, whoever else is reading.
  const groupId = `${topic}-reader-${randomUUID()}`;
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false });
  let letters: readonly StoredDeadLetter[];
  try {
    letters = await within(collect(consumer, topic, ranges, max), msMax, 'reading dead letters');
  } finally {
    await within(consumer.disconnect(), msMax, 'closing the reader of dead letters');
  }
  await withAdmin(kafka, (admin) => forgetGroup(admin, groupId));
  return letters;
}

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

async function collect(
  consumer: Consumer,
  topic: string,
  ranges: readonly Range[],
  max: number,
): Promise<readonly StoredDeadLetter[]> {
  const letters = new Map<string, StoredDeadLetter>();
  const marks = new Map<string, DeadLetterMark[]>();
  const read = (record: LogRecord) => {
    const mark = decodeMark(record);
    if (mark) {
      marks.set(mark.letterId, [...(marks.get(mark.letterId) ?? []), mark]);
    } else if (letters.size < max) {
      const { partition, offset } = record;
      const letter = decodeDeadLetter(record);
      if (!letters.has(letter.id)) letters.set(letter.id, { ...letter, partition, offset });
    }
  };
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
          read({ topic, partition: batch.partition, ...message, headers });
        }
        // By the batch, not by its records: the last offsets may be markers that are never shown.
        const next = BigInt(batch.lastOffset()) + 1n;
        // A fetch from before the seek may still arrive; it must not turn the reading back.
        if (range && next > range.next) range.next = next;
        if (ranges.every(({ next, end }) => next >= end)) resolve();
        return Promise.resolve();
      },
    };
    consumer.run(eachBatch).then(() => {
      for (const { partition, next } of ranges) {
        consumer.seek({ topic, partition, offset: String(next) });
      }
    }, reject);
  });
  return [...letters.values()].map((letter) => {
    const made = marks.get(letter.id);
    return made ? { ...letter, marks: made } : letter;
  });
}
