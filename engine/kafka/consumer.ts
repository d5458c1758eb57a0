import type { Consumer, Kafka } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import {
  consumeBatch,
  type AroundCommit,
  type BatchTiming,
  type HandleChunk,
} from './consuming/batch';
import { lagGauge } from './consuming/lag';
import { watchConsumer, type WatchdogTiming } from './consuming/watchdog';
import { within } from './within';

export { UnavailableError, type LogRecord } from './consuming/batch';

/** A batch is a few chunks: the offsets of a large one would wait too long for a member that is about to leave. */
const FETCH_BYTES_PER_PARTITION = 64 * 1024;
const PARTITIONS_AT_ONCE = 3;

export interface ConsumerTiming extends BatchTiming {
  readonly sessionMs: number;
  /** How long a stop waits for the chunks in hand. */
  readonly stopMsMax: number;
  readonly watchdog?: WatchdogTiming;
}

export const CONSUMER_TIMING: ConsumerTiming = {
  sessionMs: 10_000,
  heartbeatEveryMs: 1_000,
  retryDelayMs: { min: 200, max: 5_000 },
  stopMsMax: 10_000,
};

export interface ConsumerOptions {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly groupId: string;
  readonly logger: Logger;
  readonly handle: HandleChunk;
  /** Called once when only a new process can go on consuming. */
  readonly onDead: (error: Error) => void;
  readonly timing?: ConsumerTiming;
  /** Makes each commit, in place of a plain call: for faults on purpose. */
  readonly aroundCommit?: AroundCommit;
}

export interface OrderLogConsumer {
  readonly joined: boolean;
  /** Finishes and commits the chunks in hand, within a bound, and leaves the group. */
  stop(): Promise<void>;
}

/**
 * Consumes a topic at least once and skips nothing: an offset is committed only after its chunk is finished, the
 * library commits nothing by itself, and a commit that fails is thrown so that the chunk comes again. Throws when
 * Kafka cannot be reached or has no such topic.
 */
export async function startConsumer(options: ConsumerOptions): Promise<OrderLogConsumer> {
  const { kafka, topic, groupId, logger, handle, onDead, timing = CONSUMER_TIMING } = options;
  const { aroundCommit } = options;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: timing.sessionMs,
    rebalanceTimeout: 15_000,
    heartbeatInterval: timing.heartbeatEveryMs,
    metadataMaxAge: 5_000,
    maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
    retry: { retries: 5 },
  });
  const watchdog = watchConsumer(consumer, onDead, timing.watchdog);
  const stopping = new AbortController();
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    logger.info({ partitions: payload.memberAssignment[topic] ?? [] }, 'joined the consumer group');
    // Partitions that went elsewhere would show their last lag for ever.
    lagGauge().reset();
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: (payload) =>
        consumeBatch(payload, {
          ...{ handle, logger, timing, stopping: stopping.signal },
          ...(aroundCommit && { aroundCommit }),
        }),
    });
  } catch (error) {
    watchdog.stop();
    await leave(consumer, timing, logger);
    throw error;
  }
  return {
    get joined() {
      return watchdog.joined;
    },
    stop: async () => {
      watchdog.stop();
      stopping.abort();
      await leave(consumer, timing, logger);
    },
  };
}

async function leave(consumer: Consumer, timing: ConsumerTiming, logger: Logger): Promise<void> {
  try {
    await within(consumer.disconnect(), timing.stopMsMax, 'leaving the consumer group');
  } catch (error) {
    // The group notices by the session timeout; what was not committed comes again.
    logger.warn({ err: error }, 'the Kafka consumer did not stop in order');
  }
}
