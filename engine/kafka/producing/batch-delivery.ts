import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaJSProtocolError, type Message, type Producer, type RecordMetadata } from 'kafkajs';
import type { Logger } from '../../../platform/logger';
import { AppendUnknownError, NotAppendedError } from './append-errors';
import { REPLICATION_MS_MAX } from '../kafka-client';
import type { ProducerMetrics } from './producer-metrics';
import type { ReplaceableProducer } from './replaceable-producer';

export interface DeliveryTiming {
  /**
   * How long a client may go without delivering a batch before it is replaced. Six seconds: after three, a broker
   * that is merely paused draws every new client into the same wait, and replacements follow one another in a storm.
   */
  readonly ackMsMax: number;
  readonly retryDelayMs: { readonly min: number; readonly max: number };
}

export interface Delivery {
  /**
   * Writes the messages of one batch, all of which name `partition`, and returns the offset of the first, however long
   * it takes. Throws NotAppendedError when Kafka refuses the batch as such, AppendUnknownError when `giveUp` ends the trying.
   */
  deliver(partition: number, messages: readonly Message[]): Promise<bigint>;
  /** Ends every delivery under way, and every later one, with AppendUnknownError. */
  giveUp(): void;
}

/** Delivers batches to `topic` and believes no answer that does not name the partition and an offset. */
export function createDelivery({ client, topic, timing, logger, metrics }: Deps): Delivery {
  const waiting = new Set<(error: Error) => void>();
  let over = false;

  /** One try, with a bound of its own: a half-open socket answers nothing, not even an error. */
  function send(
    producer: Producer,
    partition: number,
    messages: readonly Message[],
  ): Promise<bigint> {
    return new Promise<bigint>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(reject);
        reject(new BrokenClientError(`no answer in ${timing.ackMsMax} ms`));
      }, timing.ackMsMax);
      waiting.add(reject);
      void producer
        .send({ topic, acks: -1, timeout: REPLICATION_MS_MAX, messages: [...messages] })
        .then((answer) => acknowledgedOffset(answer, topic, partition))
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(timer);
          waiting.delete(reject);
        });
    });
  }

  async function deliver(partition: number, messages: readonly Message[]): Promise<bigint> {
    const startedAt = Date.now();
    for (let attempt = 0; ; attempt++) {
      if (over) throw new AppendUnknownError('closed before Kafka acknowledged the record');
      const inUse = client.current();
      try {
        const offset = await send(inUse.producer, partition, messages);
        metrics.batches.inc();
        metrics.acknowledged.inc(messages.length);
        const tookMs = Date.now() - startedAt;
        if (attempt > 0) logger.info({ topic, partition, attempt, tookMs }, 'delivered at last');
        return offset;
      } catch (error) {
        if (refused(error)) throw new NotAppendedError('refused by Kafka', { cause: error });
        metrics.retries.inc();
        if (error instanceof UnverifiedError) metrics.unverified.inc();
        if (attempt === 0) logger.warn({ err: error, topic, partition }, 'not acknowledged');
        // Both ages count: a batch that has waited long must give a client that is seconds old its chance.
        const waitedMs = Date.now() - Math.max(startedAt, inUse.since);
        const broken = error instanceof BrokenClientError || waitedMs >= timing.ackMsMax;
        if (broken) await client.replace(inUse, toError(error));
        await sleep(retryDelayMs(attempt, timing));
      }
    }
  }

  return {
    deliver,
    giveUp: () => {
      over = true;
      for (const reject of waiting) reject(new Error('given up'));
    },
  };
}

interface Deps {
  readonly client: ReplaceableProducer;
  readonly topic: string;
  readonly timing: DeliveryTiming;
  readonly logger: Logger;
  readonly metrics: ProducerMetrics;
}

/** The client object is no longer of use: no answer, or one that cannot be true. */
class BrokenClientError extends Error {
  override readonly name: string = 'BrokenClientError';
}

class UnverifiedError extends BrokenClientError {
  override readonly name = 'UnverifiedError';
}

/**
 * The library resolves a send with an empty list, or without our partition, when it has addressed a broker that does
 * not lead it: nothing was written then, and the next try through the same client would end alike.
 */
function acknowledgedOffset(answer: RecordMetadata[], topic: string, partition: number): bigint {
  const ours = answer.find((entry) => entry.topicName === topic && entry.partition === partition);
  const offset = ours?.errorCode === 0 ? BigInt(ours.baseOffset ?? -1) : -1n;
  if (offset < 0n) {
    throw new UnverifiedError(`resolved without an acknowledgement: ${JSON.stringify(answer)}`);
  }
  return offset;
}

/** Answers that depend on the bytes alone: the same batch would get them for ever. */
const REFUSALS = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD'];

function refused(error: unknown): boolean {
  if (error instanceof KafkaJSProtocolError) return REFUSALS.includes(error.type);
  return error instanceof Error && error.cause !== undefined && refused(error.cause);
}

/** Doubles from try to try up to the bound; the jitter keeps the partitions from knocking in step. */
function retryDelayMs(attempt: number, { retryDelayMs: { min, max } }: DeliveryTiming): number {
  return Math.min(max, min * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random());
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
