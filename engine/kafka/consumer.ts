import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { within } from '../../platform/until';
import { createCommits, lagGauge } from './commits';
import { createDispatcher, type RecordHandler } from './dispatcher';
import { createAssignment } from './partition-log';

export { UnavailableError, type RecordHandler } from './dispatcher';
export type { LogRecord } from './partition-log';

/** A few hundred orders. One fetch of each partition may exceed the bound of what waits. */
const FETCH_BYTES_PER_PARTITION = 256 * 1024;
const HEARTBEAT_EVERY_MS = 1_000;
/** More than a start may take; finishing, committing and leaving fit into a shutdown together. */
const STOP_MS_MAX = 6_000;

/**
 * Consumes a topic at least once and skips nothing. kafkajs fetches again only when all batches of a fetch are returned,
 * so a batch is only read into memory, within a bound, and its records are handled in turn by queue. An offset is
 * committed when every record below it is finished. Throws when Kafka cannot be reached or has no such topic.
 */
export async function startConsumer(options: {
  readonly kafka: Kafka;
  readonly topic: string;
  readonly groupId: string;
  readonly logger: Logger;
  readonly handler: RecordHandler;
  /** Called once when only a new process can continue to consume. */
  readonly onDead: (error: Error) => void;
  /** How long `stop` waits for records in progress. */
  readonly stopMsMax?: number;
  /**
   * Calls `commit` once, when what belongs to the records below the offsets is done. UnavailableError: not now, nothing
   * is committed.
   */
  readonly aroundCommit?: (commit: () => Promise<void>) => Promise<void>;
}) {
  const { kafka, topic, groupId, logger, handler, onDead, aroundCommit = call } = options;
  const { stopMsMax = STOP_MS_MAX } = options;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: 10_000,
    rebalanceTimeout: 15_000,
    heartbeatInterval: HEARTBEAT_EVERY_MS,
    // Here and not at the client: there kafkajs ignores the age and overrides the retries.
    metadataMaxAge: 5_000,
    retry: { retries: 5 },
    maxBytesPerPartition: FETCH_BYTES_PER_PARTITION,
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
  });
  const watchdog = watchConsumer(consumer, onDead);
  const dispatcher = createDispatcher({ handler, logger });
  const assignment = createAssignment(consumer, topic, logger);
  const commits = createCommits({ topic, assignment, logger, aroundCommit });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberId, memberAssignment } }) => {
    const partitions = memberAssignment[topic] ?? [];
    logger.info({ partitions }, 'joined the consumer group');
    assignment.assign(partitions, memberId);
    commits.joined();
    // Partitions that moved to another member would keep their last lag for ever.
    lagGauge().reset();
  });
  let stopped: Promise<void> | undefined;

  async function readBatch(payload: EachBatchPayload): Promise<void> {
    commits.use((offsets) => payload.commitOffsetsIfNecessary(offsets));
    // Until the member leaves it must go on with its heartbeats, which kafkajs sends between two fetches.
    if (stopped) {
      await Promise.race([stopped, sleep(HEARTBEAT_EVERY_MS)]);
      return;
    }
    if (!payload.isRunning() || payload.isStale()) return;
    const { batch } = payload;
    const last = batch.messages.at(-1);
    const partition = last && assignment.logOf(batch);
    // Not assigned any more, or not yet: it is fetched again by the member that has it.
    if (!partition) return;
    const accepted = partition.accept(batch);
    switch (accepted.kind) {
      case 'gap':
        consumer.seek({ topic, partition: batch.partition, offset: accepted.from });
        break;
      case 'read':
        payload.resolveOffset(last.offset);
        dispatcher.add(accepted.records, partition);
    }
  }

  async function leave(): Promise<void> {
    watchdog.stop();
    try {
      await within(consumer.disconnect(), stopMsMax, 'leaving the consumer group');
    } catch (error) {
      // The group notices by the session timeout, and what was not committed is delivered again.
      logger.warn({ err: error }, 'the Kafka consumer did not stop cleanly');
    }
  }

  /** After `disconnect` kafkajs commits nothing, so the last commit comes before it. */
  async function finish(): Promise<void> {
    const again = (error: unknown) => {
      logger.warn({ err: error }, 'some records will be delivered again');
    };
    await within(dispatcher.stop(), stopMsMax, 'finishing the records in progress').catch(again);
    await within(commits.stop(), stopMsMax, 'the last commit').catch(again);
  }

  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: readBatch,
    });
  } catch (error) {
    await finish();
    await leave();
    throw error;
  }
  return {
    /** Whether the consumer is a member of its group, and has heard of Kafka within seconds. */
    get joined() {
      return watchdog.joined;
    },
    /** Finishes the records in progress and commits, within a bound, and leaves the group. */
    stop: async (): Promise<void> => {
      await (stopped ??= finish());
      await leave();
    },
  };
}

const call = (commit: () => Promise<void>) => commit();

/** Crashes in a row, without joining the group in between, after which only a new process helps. */
const CRASHES_MAX = 5;
/** Without a fetch or a heartbeat for so long, three session timeouts and a rebalance have passed. */
const SILENCE_MS_MAX = 40_000;
const CHECK_SILENCE_MS = 1_000;
/** A member fetches or sends a heartbeat each second. kafkajs itself notices a frozen broker some 20 s later. */
const MEMBER_SILENCE_MS_MAX = 5_000;

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
      return joined && Date.now() - aliveAt <= MEMBER_SILENCE_MS_MAX;
    },
    stop,
  };
}
