import type { Kafka } from 'kafkajs';
import { watchConsumer } from '../engine/kafka/consumer';
import { logEnds } from '../engine/kafka/read-log';
import { answers } from '../platform/health-server';
import { lookEvery, within } from '../platform/until';
import { createBatchArchiver, type BatchArchiverDeps } from './archive-batch';

/** Some 700 orders. */
const FETCH_BYTES_PER_PARTITION = 256 * 1024;
/** It also finds out whether PostgreSQL answers. */
const LOOK_EVERY_MS = 2_000;
/** A batch that waits for PostgreSQL ends within a heartbeat; the rest is for leaving the group. */
const STOP_MS_MAX = 6_000;

/**
 * Archives the logs as a member of a consumer group, one batch at a time. Throws when Kafka cannot be reached or a topic
 * is missing.
 */
export async function startArchiving(
  options: Omit<BatchArchiverDeps, 'logStart' | 'seek'> & {
    readonly kafka: Kafka;
    readonly groupId: string;
    /** Called once when only a new process can continue to consume. */
    readonly onDead: (error: Error) => void;
  },
) {
  const { kafka, groupId, logs, metrics, logger, onDead } = options;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    rebalanceTimeout: 15_000,
    heartbeatInterval: 1_000,
    metadataMaxAge: 5_000,
    retry: { retries: 5 },
    maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
  });
  const watchdog = watchConsumer(consumer, onDead);
  const batches = createBatchArchiver({
    ...options,
    logStart: async (topic, partition) => {
      const ends = await logEnds(kafka, topic);
      return ends.find((one) => one.partition === partition)?.low ?? 0n;
    },
    seek: (topic, partition, offset) => {
      consumer.seek({ topic, partition, offset: String(offset) });
    },
  });
  let databaseAnswers = true;
  const looks = lookEvery(LOOK_EVERY_MS, async () => {
    const looking = batches.returnToPositions();
    databaseAnswers = await answers(looking);
    // A frozen server gets no second question before it has answered the first.
    await looking.catch(() => undefined);
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment } }) => {
    logger.info({ partitions: memberAssignment }, 'joined the consumer group');
    batches.joined(
      Object.entries(memberAssignment).flatMap(([topic, numbers]) =>
        numbers.map((partition) => ({ topic, partition })),
      ),
    );
    metrics.assigned(memberAssignment);
    void looks.refresh();
  });

  async function leave(): Promise<void> {
    watchdog.stop();
    looks.stop();
    try {
      await within(consumer.disconnect(), STOP_MS_MAX, 'leaving the consumer group');
    } catch (error) {
      logger.warn({ err: error }, 'the Kafka consumer did not stop cleanly');
    }
  }

  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [...logs.keys()], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => batches.archive(payload),
    });
  } catch (error) {
    await leave();
    throw error;
  }
  return {
    /** Whether the consumer is a member of its group, and has heard of Kafka within seconds. */
    get joined() {
      return watchdog.joined;
    },
    /** Whether PostgreSQL answers: a batch in hand, and a look every few seconds. */
    get databaseAnswers() {
      return databaseAnswers && !batches.isBlocked;
    },
    /** Ends the transaction in hand, within a bound, and leaves the group. */
    stop: leave,
  };
}
