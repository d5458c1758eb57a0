import type { OffsetsByTopicPartition } from 'kafkajs';
import type { Gauge } from 'prom-client';
import type { Logger } from '../../platform/logger';
import { sharedGauge } from '../../platform/metrics';
import { describeError } from '../../platform/user-error';
import { UnavailableError } from './dispatcher';
import type { Assignment } from './partition-log';

/** What is finished within it is delivered again after a kill. */
const COMMIT_EVERY_MS = 200;

/** kafkajs's own commit, under the generation of the group that it has joined last. */
type SendOffsets = (offsets: OffsetsByTopicPartition) => Promise<void>;

/** Commits on a timer up to where every record is finished, and shows how far behind the consumer is. */
export function createCommits(options: {
  readonly topic: string;
  readonly assignment: Pick<Assignment, 'partitions'>;
  readonly logger: Logger;
  /** Calls `commit` once, or throws UnavailableError when nothing may be committed now. */
  readonly aroundCommit: (commit: () => Promise<void>) => Promise<void>;
  readonly everyMs?: number;
}) {
  const { topic, assignment, logger, aroundCommit, everyMs = COMMIT_EVERY_MS } = options;
  let send: SendOffsets | undefined;
  let failure: Error | undefined;
  let joins = 0;
  let committing: Promise<void> | undefined;

  async function commit(): Promise<void> {
    showLag();
    const found = [...assignment.partitions.values()].flatMap((partition) => {
      const offset = partition.uncommitted();
      return offset === undefined ? [] : [{ partition, offset }];
    });
    if (found.length === 0 || !send) return;
    const sendOffsets = send;
    const joinsBefore = joins;
    try {
      await aroundCommit(async () => {
        // What has moved meanwhile, another member commits.
        const mine = found.filter(({ partition }) => partition.assigned);
        const partitions = mine.map(({ partition, offset }) => {
          return { partition: partition.number, offset: String(offset) };
        });
        if (partitions.length > 0) await sendOffsets({ topics: [{ topic, partitions }] });
        for (const { partition, offset } of mine) partition.committedTo(offset);
      });
      failure = undefined;
    } catch (error) {
      if (error instanceof UnavailableError) {
        logger.warn({ error: describeError(error) }, 'nothing is committed until it is back');
      } else if (joins === joinsBefore) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
    }
  }

  function showLag(): void {
    for (const { number, lag } of assignment.partitions.values()) {
      lagGauge().labels({ topic, partition: number }).set(lag());
    }
  }

  const tick = () => {
    committing ??= commit().finally(() => (committing = undefined));
  };
  const timer = setInterval(tick, everyMs);

  return {
    /** To be called after each (re)join: a commit that failed under the generation before is simply sent again. */
    joined(): void {
      joins++;
      failure = undefined;
    },

    /**
     * To be called with each batch. Throws the error of a commit that has failed since the batch before, or the join: kafkajs then
     * tries again or joins the group again, as its error demands.
     */
    use(sendOffsets: SendOffsets): void {
      send = sendOffsets;
      const error = failure;
      failure = undefined;
      if (error !== undefined) throw error;
    },

    /** Commits a last time. */
    async stop(): Promise<void> {
      clearInterval(timer);
      await committing;
      await commit();
      if (failure !== undefined) throw failure;
    },
  };
}

/** Records that the consumer is behind, per topic and partition. Created on first use, once per process. */
export function lagGauge(): Gauge {
  return sharedGauge({
    name: 'orderlog_consumer_lag_records',
    help: 'Records behind the end of the log, as of the last fetch, that are not finished in order',
    labelNames: ['topic', 'partition'],
  });
}
