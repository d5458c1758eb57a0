import { setTimeout as sleep } from 'node:timers/promises';
import { KafkaJSProtocolError, type Message, type Producer, type RecordMetadata } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { sharedCounter } from '../../platform/metrics';
import { within } from '../../platform/until';

/** The record is not in the log and will not get there. */
export class NotAppendedError extends Error {
  override readonly name: string = 'NotAppendedError';
}

/** The record was handed to Kafka, and the producer was closed before it was acknowledged: it may be in the log. */
export class AppendUnknownError extends Error {
  override readonly name = 'AppendUnknownError';
}

export interface DeliveryTiming {
  /**
   * How long a client may go without delivering a batch before it is replaced. Not less than six seconds: after three,
   * every new client connects to the same paused broker and waits again, and replacements follow one another in a storm.
   */
  readonly ackMsMax: number;
  readonly connectMsMax: number;
  /** How long a replaced client may take to close its sockets. */
  readonly disconnectMsMax: number;
  readonly retryDelayMs: { readonly min: number; readonly max: number };
}

/** How long the broker waits for its replicas. Below the request timeout, so that its response still arrives. */
const REPLICATION_MS_MAX = 2_000;

export type BatchDelivery = Awaited<ReturnType<typeof createBatchDelivery>>;

/**
 * Delivers batches to `topic` and retries each until it is acknowledged. A result counts as an acknowledgement only if
 * it names the partition and an offset. Throws when the first client cannot connect.
 */
export async function createBatchDelivery(options: {
  readonly createProducer: () => Producer;
  readonly topic: string;
  readonly timing: DeliveryTiming;
  readonly logger: Logger;
}) {
  const { topic, timing, logger } = options;
  const metrics = createMetrics(topic);
  const client = await connectClient({ ...options, replacements: metrics.replacements });
  const unanswered = new Set<(error: Error) => void>();
  let closed = false;

  /** One attempt. It has a timer of its own because a half-open socket returns nothing, not even an error. */
  function send(producer: Producer, partition: number, messages: readonly Message[]) {
    return new Promise<bigint>((resolve, reject) => {
      const timer = setTimeout(() => {
        unanswered.delete(reject);
        reject(new BrokenClientError(`no answer in ${timing.ackMsMax} ms`));
      }, timing.ackMsMax);
      unanswered.add(reject);
      void producer
        .send({ topic, acks: -1, timeout: REPLICATION_MS_MAX, messages: [...messages] })
        .then((result) => acknowledgedOffset(result, topic, partition))
        .then(resolve, reject)
        .finally(() => {
          clearTimeout(timer);
          unanswered.delete(reject);
        });
    });
  }

  /**
   * Writes one batch, whose messages all name `partition`, and returns the offset of its first record, however long it
   * takes. Before each attempt it asks for the messages that may still be sent. Throws NotAppendedError when Kafka refuses
   * the batch, AppendUnknownError after `close` and when there is no message left.
   */
  async function deliver(
    partition: number,
    messagesToSend: () => readonly Message[],
  ): Promise<bigint> {
    const startedAt = Date.now();
    for (let attempt = 0; ; attempt++) {
      if (closed) throw new AppendUnknownError('closed before Kafka acknowledged the record');
      const messages = messagesToSend();
      if (messages.length === 0) throw new AppendUnknownError('no record may be sent any more');
      const inUse = client.current();
      try {
        const offset = await send(inUse.producer, partition, messages);
        metrics.batches.inc();
        metrics.acknowledged.inc(messages.length);
        const tookMs = Date.now() - startedAt;
        if (attempt > 0) logger.info({ topic, partition, attempt, tookMs }, 'batch delivered');
        return offset;
      } catch (error) {
        if (isRefusal(error)) throw new NotAppendedError('refused by Kafka', { cause: error });
        metrics.retries.inc();
        if (error instanceof UnverifiedError) metrics.unverified.inc();
        if (attempt === 0) logger.warn({ err: error, topic, partition }, 'batch not acknowledged');
        // The age of the client counts too: a batch that has waited long must give a new client its time.
        const waitedMs = Date.now() - Math.max(startedAt, inUse.since);
        const broken = error instanceof BrokenClientError || waitedMs >= timing.ackMsMax;
        if (broken) await client.replace(inUse, toError(error));
        await sleep(retryDelayMs(attempt, timing));
      }
    }
  }

  return {
    deliver,
    /** Ends all deliveries with AppendUnknownError and disconnects. */
    close: async (): Promise<void> => {
      closed = true;
      for (const reject of unanswered) reject(new Error('the producer is closing'));
      await client.disconnect();
    },
  };
}

/** The client is no longer usable: it returned nothing, or a result that cannot be true. */
class BrokenClientError extends Error {
  override readonly name: string = 'BrokenClientError';
}

class UnverifiedError extends BrokenClientError {
  override readonly name = 'UnverifiedError';
}

/**
 * kafkajs resolves a send with an empty list, or without the partition, when it addressed a broker that does not lead
 * the partition. Nothing was written then, and every retry through the same client ends the same way.
 */
function acknowledgedOffset(result: RecordMetadata[], topic: string, partition: number): bigint {
  const found = result.find((one) => one.topicName === topic && one.partition === partition);
  const offset = found?.errorCode === 0 ? BigInt(found.baseOffset ?? -1) : -1n;
  if (offset < 0n) {
    throw new UnverifiedError(`resolved without an acknowledgement: ${JSON.stringify(result)}`);
  }
  return offset;
}

/** These errors depend on the bytes alone, so a retry of the same batch cannot succeed. */
const REFUSALS = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD'];

function isRefusal(error: unknown): boolean {
  if (error instanceof KafkaJSProtocolError) return REFUSALS.includes(error.type);
  return error instanceof Error && error.cause !== undefined && isRefusal(error.cause);
}

/** Exponential up to the bound. The jitter keeps the partitions from retrying in step. */
function retryDelayMs(attempt: number, { retryDelayMs: { min, max } }: DeliveryTiming): number {
  return Math.min(max, min * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random());
}

export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** A connected kafkajs producer; `since`: when it came into use, in ms since the epoch. */
interface ClientInUse {
  readonly producer: Producer;
  readonly since: number;
}

/**
 * Connects a kafkajs producer that can be replaced. A client can get into a state in which it addresses the wrong
 * broker, or a dead socket, for ever; only new sockets and new metadata help. Throws when the first one cannot connect.
 */
async function connectClient(options: {
  readonly createProducer: () => Producer;
  readonly timing: DeliveryTiming;
  readonly logger: Logger;
  readonly replacements: { inc(): void };
}) {
  const { createProducer, timing, logger, replacements } = options;
  let inUse: ClientInUse = { producer: await connect(), since: Date.now() };
  let replacing: Promise<void> | undefined;
  let closed = false;

  async function connect(): Promise<Producer> {
    const producer = createProducer();
    try {
      await within(producer.connect(), timing.connectMsMax, 'connecting a Kafka producer');
      return producer;
    } catch (error) {
      // Not awaited: the next attempt must not wait for the sockets of a client that never worked.
      void disconnect(producer);
      throw error;
    }
  }

  async function disconnect(producer: Producer): Promise<void> {
    try {
      await within(producer.disconnect(), timing.disconnectMsMax, 'closing a Kafka producer');
    } catch (error) {
      logger.warn({ err: error }, 'a Kafka producer did not close');
    }
  }

  async function swap(reason: Error): Promise<void> {
    logger.warn({ err: reason }, 'replacing the Kafka producer');
    try {
      const producer = await connect();
      const old = inUse.producer;
      inUse = { producer, since: Date.now() };
      replacements.inc();
      // Not awaited: requests of the old client fail now, and their batches are sent again through the new one.
      void disconnect(old);
    } catch (error) {
      logger.warn({ err: error }, 'no new Kafka producer could connect: keeping the old one');
    } finally {
      replacing = undefined;
    }
  }

  return {
    current: () => inUse,
    /** Replaces `broken` once, whatever the number of callers. When no new client can connect, the old one stays. */
    replace: async (broken: ClientInUse, reason: Error): Promise<void> => {
      if (closed || broken !== inUse) return;
      replacing ??= swap(reason);
      await replacing;
    },
    disconnect: async (): Promise<void> => {
      closed = true;
      // A client that is still connecting would stay open otherwise.
      await replacing;
      await disconnect(inUse.producer);
    },
  };
}

/** The producers of one process share these metrics and differ by the label `topic`. */
function createMetrics(topic: string) {
  const counter = (name: string, help: string) =>
    sharedCounter({ name, help, labelNames: ['topic'] }).labels({ topic });
  return {
    acknowledged: counter('orderlog_appended_records_total', 'Records acknowledged by Kafka'),
    batches: counter('orderlog_batches_total', 'Batches acknowledged by Kafka'),
    retries: counter('orderlog_retries_total', 'Batches that had to be sent again'),
    unverified: counter(
      'orderlog_unverified_answers_total',
      'Sends that were answered as done without proof that anything was written',
    ),
    replacements: counter(
      'orderlog_producer_replacements_total',
      'Kafka clients thrown away because they no longer delivered',
    ),
  };
}
