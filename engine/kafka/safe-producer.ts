import { setTimeout as sleep } from 'node:timers/promises';
import type { Producer } from 'kafkajs';
import { invariant } from '../orders/invariant';
import type { Logger } from '../../platform/logger';
import { NotAppendedError, QueueFullError } from './producing/append-errors';
import { createDelivery, type DeliveryTiming } from './producing/batch-delivery';
import { createPartitionLane } from './producing/partition-lane';
import { createProducerMetrics } from './producing/producer-metrics';
import {
  connectReplaceableProducer,
  type ReplacementTiming,
} from './producing/replaceable-producer';
import { createSpread, type Spread } from './producing/spread';

export { AppendUnknownError, NotAppendedError, QueueFullError } from './producing/append-errors';

/** At a few thousand orders a second this is several seconds of a silent Kafka, in about 10 MB. */
const QUEUE_RECORDS_MAX = 20_000;

export type ProducerTiming = DeliveryTiming & ReplacementTiming;

export const PRODUCER_TIMING: ProducerTiming = {
  ackMsMax: 6_000,
  connectMsMax: 5_000,
  disconnectMsMax: 5_000,
  retryDelayMs: { min: 20, max: 300 },
};

export interface SafeProducerOptions {
  /** Makes a Kafka client; called again whenever one has to be replaced. */
  readonly createProducer: () => Producer;
  readonly topic: string;
  readonly partitions: number;
  readonly logger: Logger;
  /** By key unless said otherwise. */
  readonly spread?: Spread;
  /** How long to gather a batch, in ms. 0 on one broker; about 5 where every request is replicated. */
  readonly lingerMs?: number;
  /** Records that may wait for Kafka at once. */
  readonly queueMax?: number;
  readonly timing?: ProducerTiming;
}

export interface LogEntry {
  /** Equal keys share a partition where records are spread by key. */
  readonly key: string;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Appended {
  readonly partition: number;
  readonly offset: string;
}

export interface SafeProducer {
  /**
   * Resolves once the record is in the log, and is never wrong about it; it may be there twice. Rejects with
   * NotAppendedError (QueueFullError: at once) when it certainly is not, with AppendUnknownError when closing came
   * between. No answer for a long time means that Kafka is away: the caller sets its own deadline, the trying goes on.
   */
  append(entry: LogEntry): Promise<Appended>;
  /** Records not acknowledged yet. */
  readonly pending: number;
  /** Takes nothing more, waits up to `drainMs` for what is pending, rejects the rest and disconnects. */
  close(drainMs: number): Promise<void>;
}

/**
 * Appends to one topic through kafkajs without believing it. One partition per send and one send at a time per
 * partition: in every other arrangement the library is known to report more than it wrote. Throws when the first client cannot connect.
 */
export async function createSafeProducer(options: SafeProducerOptions): Promise<SafeProducer> {
  const { topic, partitions, logger, lingerMs = 0, queueMax = QUEUE_RECORDS_MAX } = options;
  const timing = options.timing ?? PRODUCER_TIMING;
  let pending = 0;
  const metrics = createProducerMetrics(topic, () => pending);
  const client = await connectReplaceableProducer(options.createProducer, {
    timing,
    logger,
    onReplaced: () => {
      metrics.replacements.inc();
    },
  });
  const delivery = createDelivery({ client, topic, timing, logger, metrics });
  const lanes = Array.from({ length: partitions }, (_, partition) =>
    createPartitionLane(partition, { delivery, lingerMs }),
  );
  const partitionOf = createSpread(options.spread ?? 'by-key', topic, lanes);
  let closing = false;

  function append({ key, value, headers = {} }: LogEntry): Promise<Appended> {
    if (closing) return Promise.reject(new NotAppendedError('the producer is closing'));
    if (pending >= queueMax) {
      return Promise.reject(new QueueFullError(`${pending} records wait for Kafka already`));
    }
    const partition = partitionOf(key);
    const lane = lanes[partition];
    invariant(lane !== undefined, `partition ${partition} of ${partitions}`);
    pending += 1;
    return new Promise((resolve, reject) => {
      lane.push({
        message: { key, value, headers, partition },
        acknowledged: (offset) => {
          pending -= 1;
          resolve({ partition, offset: String(offset) });
        },
        failed: (error) => {
          pending -= 1;
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      });
    });
  }

  async function close(drainMs: number): Promise<void> {
    closing = true;
    const deadline = Date.now() + drainMs;
    while (pending > 0 && Date.now() < deadline) await sleep(CLOSE_POLL_MS);
    if (pending > 0) logger.warn({ topic, pending }, 'closing with records not acknowledged');
    for (const { failed } of lanes.flatMap((lane) => lane.removeUnsent())) {
      failed(new NotAppendedError('closed before it was handed to Kafka'));
    }
    delivery.giveUp();
    await client.disconnect();
  }

  return {
    append,
    get pending() {
      return pending;
    },
    close,
  };
}

const CLOSE_POLL_MS = 5;
