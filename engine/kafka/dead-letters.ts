import type { Kafka } from 'kafkajs';
import type { LogRecord } from './consumer';
import type { DeadLetter, DeadLetterMark } from '../orders/dead-letter';
import { decodeDeadLetter, decodeMark, encodeDeadLetter, encodeMark } from './dead-letter-record';
import { readLog } from './read-log';
import type { SafeProducer } from './safe-producer';

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
  await readLog(kafka, topic, { fromOffset, msMax }, read);
  return [...letters.values()].map((letter) => {
    const made = marks.get(letter.id);
    return made ? { ...letter, marks: made } : letter;
  });
}
