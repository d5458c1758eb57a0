import type { Consumer, Kafka } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { within } from '../../platform/until';
import { BATCH_TIMING, consumeBatch, lagGauge, type BatchContext } from './consume-batch';

export { UnavailableError, type LogRecord } from './consume-batch';

/** A few chunks: with more, a member that is about to leave would take long to finish and commit its batch. */
const FETCH_BYTES_PER_PARTITION = 64 * 1024;
const PARTITIONS_AT_ONCE = 3;
const STOP_MS_MAX = 10_000;

/**
 * Consumes a topic at least once and skips nothing: an offset is committed only after its chunk is finished, kafkajs
 * commits nothing by itself, and a commit that fails is thrown so that the chunk is delivered again. Throws when Kafka
 * cannot be reached or has no such topic.
 */
export async function startConsumer(options: {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly groupId: string;
  readonly logger: Logger;
  readonly handle: BatchContext['handle'];
  /** Called once when only a new process can continue to consume. */
  readonly onDead: (error: Error) => void;
  /** How long `stop` waits for chunks in progress. */
  readonly stopMsMax?: number;
  readonly aroundCommit?: BatchContext['aroundCommit'];
}) {
  const { kafka, topic, groupId, logger, handle, onDead, aroundCommit } = options;
  const { stopMsMax = STOP_MS_MAX } = options;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    rebalanceTimeout: 15_000,
    heartbeatInterval: BATCH_TIMING.heartbeatEveryMs,
    // Here and not at the client: there kafkajs ignores the age and overrides the retries.
    metadataMaxAge: 5_000,
    retry: { retries: 5 },
    maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
  });
  const watchdog = watchConsumer(consumer, onDead);
  const stopping = new AbortController();
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    logger.info({ partitions: payload.memberAssignment[topic] ?? [] }, 'joined the consumer group');
    // Partitions that moved to another member would keep their last lag for ever.
    lagGauge().reset();
  });

  async function leave(): Promise<void> {
    watchdog.stop();
    try {
      await within(consumer.disconnect(), stopMsMax, 'leaving the consumer group');
    } catch (error) {
      // The group notices by the session timeout, and what was not committed is delivered again.
      logger.warn({ err: error }, 'the Kafka consumer did not stop cleanly');
    }
  }

  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
      eachBatch: (payload) =>
        consumeBatch(payload, { handle, logger, aroundCommit, stopping: stopping.signal }),
    });
  } catch (error) {
    await leave();
    throw error;
  }
  return {
    /** Whether the consumer is a member of its group, as far as it knows. */
    get joined() {
      return watchdog.joined;
    },
    /** Finishes and commits the chunks in progress, within a bound, and leaves the group. */
    stop: (): Promise<void> => {
      stopping.abort();
      return leave();
    },
  };
}

/** Crashes in a row, without joining the group in between, after which only a new process helps. */
const CRASHES_MAX = 5;
/** Without a fetch or a heartbeat for so long, three session timeouts and a rebalance have passed. */
const SILENCE_MS_MAX = 40_000;
const CHECK_SILENCE_MS = 1_000;

/**
 * Calls `onDead`, once, when a consumer cannot recover by itself. After a final crash kafkajs leaves the process alive,
 * and a member whose coordinator died has been seen to crash and restart without end.
 */
export function watchConsumer(
  consumer: Pick<Consumer, 'on' | 'events'>,
  onDead: (error: Error) => void,
) {
  const { events } = consumer;
  let running = true;
  let joined = false;
  let crashes = 0;
  let aliveAt = Date.now();

  function stop(): void {
    running = false;
    clearInterval(timer);
  }
  function dead(message: string, cause?: Error): void {
    if (!running) return;
    stop();
    onDead(new Error(message, { cause }));
  }
  const timer = setInterval(() => {
    const silentMs = Date.now() - aliveAt;
    if (silentMs > SILENCE_MS_MAX) dead(`the Kafka consumer is silent for ${silentMs} ms`);
  }, CHECK_SILENCE_MS);

  const alive = () => {
    aliveAt = Date.now();
  };
  const left = () => {
    joined = false;
  };
  consumer.on(events.FETCH, alive);
  consumer.on(events.HEARTBEAT, alive);
  consumer.on(events.STOP, left);
  consumer.on(events.DISCONNECT, left);
  consumer.on(events.GROUP_JOIN, () => {
    joined = true;
    crashes = 0;
    alive();
  });
  consumer.on(events.CRASH, ({ payload: { error, restart } }) => {
    joined = false;
    crashes++;
    if (!restart) dead('the Kafka consumer has crashed for good', error);
    else if (crashes >= CRASHES_MAX) dead(`the Kafka consumer has crashed ${crashes} times`, error);
  });
  return {
    get joined() {
      return joined;
    },
    stop,
  };
}
