import { setTimeout as sleep } from 'node:timers/promises';
import { addressesOf, createKafka, createProducer } from '../kafka/kafka-client';
import {
  createMarkWriter,
  readDeadLetters,
  type MarkWriter,
  type StoredDeadLetter,
} from '../kafka/dead-letters';
import { createSafeProducer, type SafeProducer } from '../kafka/safe-producer';
import { partitionCount, withAdmin } from '../kafka/topics';
import type { KafkaAccess, TemporalAccess } from '../../platform/config/access';
import { createLogger } from '../../platform/logger';
import { within } from '../../platform/until';
import type { ArchiveDatabase } from '../archive/database';
import { unavailable } from './operator';
import { readLetters } from './read-letters';
import { withOrderReplayer, type OrderReplayer } from './order-replayer';

export interface DeadLetterAccess {
  readonly kafka: KafkaAccess;
  readonly temporal: TemporalAccess;
  readonly taskQueue: string;
  readonly ordersTopic: string;
  readonly deadLetterTopic: string;
  /** Absent: there is none. Its owner closes it. */
  readonly archive?: ArchiveDatabase | undefined;
}

/** What replaying and discarding need. Every use of Kafka and Temporal opens a connection and closes it. */
export function createDeadLetterClients(
  { kafka, temporal, taskQueue, ordersTopic, deadLetterTopic, archive }: DeadLetterAccess,
  recordsMax = RECORDS_READ_MAX,
) {
  return {
    readLetters: () => readLetters({ kafka, topic: deadLetterTopic, archive, recordsMax }),
    withMarks: <T>(use: (marks: MarkWriter) => Promise<T>) =>
      withPublisher(kafka, deadLetterTopic, (publisher) => use(createMarkWriter(publisher))),
    withOrders: <T>(use: (orders: Publisher) => Promise<T>) =>
      withPublisher(kafka, ordersTopic, use),
    withReplayer: <T>(use: (replayer: OrderReplayer) => Promise<T>) =>
      withOrderReplayer({ ...temporal, taskQueue }, use),
    now: Date.now,
    sleep,
  };
}

/**
 * Letters and marks that the archive has not yet, or the newest ones without an archive. A replay has to see the letters
 * behind the marks that it wrote; at about 1 KB each, this many fit into memory.
 */
const RECORDS_READ_MAX = 100_000;

/** Ten thousand take about a second. */
const READ_MS_MAX = 60_000;

/** Reads the newest `recordsMax` letters and marks. Its methods throw an OperatorError when Kafka does not answer. */
export interface DeadLetterReader {
  /** The end of the log: letters written from now on have this offset or a larger one. */
  readonly end: () => Promise<string>;
  /** The letters from an offset on; without one, the newest. */
  readonly read: (fromOffset?: string) => Promise<readonly StoredDeadLetter[]>;
}

export function createDeadLetterReader(
  access: KafkaAccess | readonly string[],
  topic: string,
  recordsMax = RECORDS_READ_MAX,
): DeadLetterReader {
  const kafka = createKafka('flash-sale-dead-letters', access);
  const failed = unavailable(
    `Cannot read the dead letters in ${topic} from Kafka at ${addressesOf(access)}`,
  );
  // The smallest end of several partitions may show a few older letters. It never hides a newer one.
  const end = async (): Promise<bigint> => {
    const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic)).catch(failed);
    const [first = 0n, ...others] = offsets.map(({ high }) => BigInt(high));
    return others.reduce((least, high) => (high < least ? high : least), first);
  };
  const newest = async (): Promise<string> => {
    const first = (await end()) - BigInt(recordsMax);
    return (first > 0n ? first : 0n).toString();
  };
  return {
    end: async () => (await end()).toString(),
    read: async (fromOffset) => {
      const first = fromOffset ?? (await newest());
      const options = { fromOffset: first, max: recordsMax, msMax: READ_MS_MAX };
      return readDeadLetters(kafka, topic, options).catch(failed);
    },
  };
}

/** A broker that is replaced is back within this time; a person does not wait longer. */
const APPEND_MS_MAX = 15_000;
const CLOSE_MS_MAX = 2_000;

export type Publisher = Pick<SafeProducer, 'append'>;

/**
 * Runs `use` with a producer for `topic` and closes it. Throws an OperatorError when Kafka does not answer in time; an
 * append without an answer may have happened.
 */
export async function withPublisher<T>(
  access: KafkaAccess | readonly string[],
  topic: string,
  use: (publisher: Publisher) => Promise<T>,
): Promise<T> {
  const failed = unavailable(`Cannot write to ${topic} in Kafka at ${addressesOf(access)}`);
  const kafka = createKafka('flash-sale-dead-letters', access);
  const connect = async () =>
    createSafeProducer({
      createProducer: () => createProducer(kafka),
      topic,
      partitions: await partitionCount(kafka, topic),
      logger: createLogger('dead-letters', 'silent'),
    });
  const producer = await connect().catch(failed);
  try {
    return await use({
      append: (entry) =>
        within(producer.append(entry), APPEND_MS_MAX, `writing to ${topic}`).catch(failed),
    });
  } finally {
    await producer.close(CLOSE_MS_MAX);
  }
}
