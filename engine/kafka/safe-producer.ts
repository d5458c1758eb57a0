import { setTimeout as sleep } from 'node:timers/promises';
import { Partitioners, type Message, type Producer } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { sharedCounter, sharedGauge } from '../../platform/metrics';
import { invariant } from '../orders/invariant';
import {
  AppendUnknownError,
  createBatchDelivery,
  NotAppendedError,
  toError,
  type BatchDelivery,
  type DeliveryTiming,
} from './batch-delivery';

export { AppendUnknownError, NotAppendedError } from './batch-delivery';

/** More records wait for Kafka than the bound allows. Nothing was handed over. */
export class QueueFullError extends NotAppendedError {
  override readonly name = 'QueueFullError';
}

/** At a few thousand orders a second this is several seconds of a silent Kafka, in about 10 MB. */
const QUEUE_RECORDS_MAX = 20_000;
const CLOSE_POLL_MS = 5;
/** How often records are looked for whose time is over. A record that is due to be sent is looked at then. */
const WITHDRAW_EVERY_MS = 500;

const TIMING: DeliveryTiming = {
  ackMsMax: 6_000,
  connectMsMax: 5_000,
  disconnectMsMax: 5_000,
  retryDelayMs: { min: 20, max: 300 },
};

export interface SafeProducerOptions {
  /** Makes a kafkajs producer; called again whenever one has to be replaced. */
  readonly createProducer: () => Producer;
  readonly topic: string;
  readonly partitions: number;
  readonly logger: Logger;
  /** Default: `by-key`. */
  readonly partitioner?: Partitioner;
  /** How long to gather a batch, in ms. 0 on one broker; about 5 where every request is replicated. */
  readonly lingerMs?: number;
  /** Records that may wait for Kafka at once. */
  readonly queueMax?: number;
  readonly timing?: DeliveryTiming;
}

export interface LogEntry {
  /** With the partitioner `by-key`, equal keys share a partition. */
  readonly key: string;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * On the clock of performance.now(). A record that was not sent by then is withdrawn, and one that is in doubt is not
   * sent again. Absent: it is sent whenever Kafka is back.
   */
  readonly until?: number;
}

type Appended = { readonly partition: number; readonly offset: string };

export interface SafeProducer {
  /**
   * Resolves once the record is in the log, perhaps twice. Rejects with NotAppendedError (QueueFullError: at once) when
   * it is certainly not there, with AppendUnknownError when the producer was closed first, or the record's time was over
   * while it was in doubt. While Kafka is away the promise stays pending and the retries go on: the caller sets its own
   * deadline.
   */
  append(entry: LogEntry): Promise<Appended>;
  /** Records not acknowledged yet. */
  readonly pending: number;
  /** Accepts nothing more, waits up to `drainMs` for pending records, rejects the rest and disconnects. */
  close(drainMs: number): Promise<void>;
}

/**
 * Appends to one topic through kafkajs and verifies every result. Each send covers one partition, and a partition has
 * one send under way at a time: in every other arrangement kafkajs has reported records as written that were not.
 * Throws when the first client cannot connect.
 */
export async function createSafeProducer(options: SafeProducerOptions): Promise<SafeProducer> {
  const { createProducer, topic, partitions, logger, timing = TIMING } = options;
  const { partitioner = 'by-key', lingerMs = 0, queueMax = QUEUE_RECORDS_MAX } = options;
  let pending = 0;
  let closing = false;
  exportPending(topic, () => pending);
  const delivery = await createBatchDelivery({ createProducer, topic, timing, logger });
  const queues = Array.from({ length: partitions }, (_, partition) =>
    createPartitionQueue({
      partition,
      delivery,
      lingerMs,
      onWithdrawn: countWithdrawn(topic, logger),
    }),
  );
  const queueFor = partitioner === 'by-key' ? queueByKey(topic, queues) : queueByBatch(queues);

  const withdrawing = setInterval(() => {
    for (const queue of queues) queue.withdrawOverdue();
  }, WITHDRAW_EVERY_MS).unref();

  function append({ key, value, headers = {}, until = Infinity }: LogEntry): Promise<Appended> {
    if (closing) return Promise.reject(new NotAppendedError('the producer is closing'));
    if (pending >= queueMax) {
      return Promise.reject(new QueueFullError(`${pending} records already wait for Kafka`));
    }
    const queue = queueFor(key);
    const { partition } = queue;
    pending += 1;
    return new Promise((resolve, reject) => {
      queue.push({
        message: { key, value, headers, partition },
        until,
        acknowledged: (offset) => {
          pending -= 1;
          resolve({ partition, offset: String(offset) });
        },
        failed: (error) => {
          pending -= 1;
          reject(toError(error));
        },
      });
    });
  }

  async function close(drainMs: number): Promise<void> {
    closing = true;
    const deadline = Date.now() + drainMs;
    while (pending > 0 && Date.now() < deadline) await sleep(CLOSE_POLL_MS);
    if (pending > 0) logger.warn({ topic, pending }, 'closing with records not acknowledged');
    for (const { failed } of queues.flatMap((queue) => queue.removeUnsent())) {
      failed(new NotAppendedError('closed before it was handed to Kafka'));
    }
    clearInterval(withdrawing);
    await delivery.close();
  }

  return {
    append,
    get pending() {
      return pending;
    },
    close,
  };
}

/** A producer for a process that works while Kafka is away. It appends nothing until `opening` has resolved. */
export function createOpeningProducer(opening: Promise<SafeProducer>) {
  let opened: SafeProducer | undefined;
  return {
    /** Rejects as `opening` does; to be handled. */
    whenOpen: opening.then((producer) => {
      opened = producer;
    }),
    isOpen: () => opened !== undefined,
    append: (entry: LogEntry): Promise<Appended> =>
      opened
        ? opened.append(entry)
        : Promise.reject(new NotAppendedError('Kafka has not answered since this process started')),
    close: async (drainMs: number): Promise<void> => opened?.close(drainMs),
  };
}

/** Pending records by topic. Read when the metrics are scraped: setting a gauge for each record costs more. */
const pendingByTopic = new Map<string, () => number>();

function exportPending(topic: string, pending: () => number): void {
  pendingByTopic.set(topic, pending);
  sharedGauge({
    name: 'orderlog_pending_records',
    help: 'Records that wait for an acknowledgement',
    labelNames: ['topic'],
    collect() {
      for (const [topic, pending] of pendingByTopic) this.set({ topic }, pending());
    },
  });
}

function countWithdrawn(topic: string, logger: Logger): (records: number) => void {
  const name = 'orderlog_withdrawn_records_total';
  const help = 'Records that were never sent, because their time was over before Kafka was back';
  const counter = sharedCounter({ name, help, labelNames: ['topic'] });
  return (records) => {
    counter.inc({ topic }, records);
    logger.warn({ topic, records }, 'records withdrawn: their time is over, and Kafka is away');
  };
}

/** A batch grows while the one before it is under way; the cap matters only after an outage. */
const BATCH_RECORDS_MAX = 500;
/** Half of what a broker accepts by default, because framing adds to it. */
const BATCH_BYTES_MAX = 512 * 1024;
/** Bytes that the protocol adds to a record, rounded up. */
const RECORD_OVERHEAD_BYTES = 64;

/** A record on its way. Either `acknowledged` or `failed` is called, once. */
interface QueuedRecord {
  readonly message: Message & { readonly value: Buffer };
  readonly until: number;
  readonly acknowledged: (offset: bigint) => void;
  readonly failed: (error: unknown) => void;
}

type PartitionQueue = ReturnType<typeof createPartitionQueue>;

/**
 * The records of one partition, sent in order, one batch at a time. `lingerMs`: how long to gather before each send;
 * 0 sends what one turn of the event loop brought.
 */
function createPartitionQueue({
  partition,
  delivery,
  lingerMs,
  onWithdrawn,
}: {
  readonly partition: number;
  readonly delivery: BatchDelivery;
  readonly lingerMs: number;
  readonly onWithdrawn: (records: number) => void;
}) {
  let records: QueuedRecord[] = [];
  let running = false;
  let sending = false;

  async function run(): Promise<void> {
    while (records.length > 0) {
      if (lingerMs > 0 && records.length < BATCH_RECORDS_MAX) await sleep(lingerMs);
      withdrawOverdue();
      sending = true;
      await send(takeBatch(records));
      sending = false;
    }
    running = false;
  }

  async function send(batch: readonly QueuedRecord[]): Promise<void> {
    let open = batch;
    // An earlier attempt may have written it: it stays in doubt, and is not written for certain by one more attempt.
    const messagesInTime = () => {
      open = failOverdue(open, () => new AppendUnknownError('its time was over while in doubt'));
      return open.map(({ message }) => message);
    };
    try {
      const first = await delivery.deliver(partition, messagesInTime);
      open.forEach(({ acknowledged }, index) => {
        acknowledged(first + BigInt(index));
      });
    } catch (error) {
      if (error instanceof NotAppendedError && open.length > 1) {
        // A record that Kafka refuses must neither fail the others of its batch nor block the partition.
        const middle = Math.ceil(open.length / 2);
        await send(open.slice(0, middle));
        await send(open.slice(middle));
        return;
      }
      for (const { failed } of open) failed(error);
    }
  }

  /** Withdraws the records that were not handed to Kafka in time. */
  function withdrawOverdue(): void {
    const waiting = records.length;
    records = failOverdue(records, () => new NotAppendedError('withdrawn: its time was over'));
    if (records.length < waiting) onWithdrawn(waiting - records.length);
  }

  return {
    partition,
    withdrawOverdue,
    push: (record: QueuedRecord) => {
      records.push(record);
      if (running) return;
      running = true;
      setImmediate(() => void run());
    },
    /** Records not handed to Kafka yet. */
    waiting: () => records.length,
    isSending: () => sending,
    isFull: () => records.length >= BATCH_RECORDS_MAX,
    /** Takes out the records that were not handed to Kafka. */
    removeUnsent: (): readonly QueuedRecord[] => records.splice(0),
  };
}

/** Fails the records whose time is over and returns the others. */
function failOverdue<Records extends readonly QueuedRecord[]>(
  records: Records,
  toError: () => Error,
): Records | QueuedRecord[] {
  const now = performance.now();
  if (!records.some(({ until }) => until <= now)) return records;
  for (const { until, failed } of records) if (until <= now) failed(toError());
  return records.filter(({ until }) => until > now);
}

/** As many records from the front as fit into one batch, at least one unless the queue is empty. */
function takeBatch(records: QueuedRecord[]): QueuedRecord[] {
  let bytes = 0;
  let count = 0;
  for (const { message } of records.slice(0, BATCH_RECORDS_MAX)) {
    bytes += sizeOf(message);
    if (count > 0 && bytes > BATCH_BYTES_MAX) break;
    count++;
  }
  return records.splice(0, count);
}

function sizeOf({ key, value, headers = {} }: QueuedRecord['message']): number {
  let bytes = RECORD_OVERHEAD_BYTES + value.length + (key?.length ?? 0);
  for (const [name, text] of Object.entries(headers)) bytes += name.length + (text?.length ?? 0);
  return bytes;
}

/**
 * How a record gets its partition. `by-key`: equal keys share the partition that every standard client chooses.
 * `by-batch`: records that arrive together share a batch, for topics without an order among records. With six partitions
 * its batches are up to six times as large, and client and broker pay more for a batch than for a record.
 */
export type Partitioner = 'by-key' | 'by-batch';

function queueByKey(topic: string, queues: readonly PartitionQueue[]) {
  const partitioner = Partitioners.DefaultPartitioner();
  const partitionMetadata = queues.map(({ partition }) => ({
    partitionErrorCode: 0,
    partitionId: partition,
    leader: 0,
    replicas: [],
    isr: [],
  }));
  return (key: string): PartitionQueue => {
    const partition = partitioner({ topic, partitionMetadata, message: { key, value: null } });
    const queue = queues[partition];
    invariant(queue !== undefined, `partition ${partition} of ${queues.length}`);
    return queue;
  };
}

/**
 * Fills one queue until its batch is sent, then turns to an idle one. While all queues are sending, records gather in
 * one of them, and the first queue that becomes idle gets the next records: a partition without a leader delays only
 * the records that it has already.
 */
function queueByBatch(queues: readonly PartitionQueue[]) {
  let current = 0;
  /** The first that `fits`, starting behind the current one and ending with it. */
  const find = (fits: (queue: PartitionQueue) => boolean): number | undefined => {
    for (let step = 1; step <= queues.length; step++) {
      const index = (current + step) % queues.length;
      const queue = queues[index];
      if (queue && fits(queue)) return index;
    }
    return undefined;
  };
  const next = (): number => {
    const gathering = queues[current];
    if (gathering && !gathering.isSending() && gathering.waiting() > 0) return current;
    const idle = find((queue) => !queue.isSending() && queue.waiting() === 0);
    if (idle !== undefined) return idle;
    if (gathering && gathering.waiting() > 0 && !gathering.isFull()) return current;
    const shortest = Math.min(...queues.map((queue) => queue.waiting()));
    return find((queue) => queue.waiting() === shortest) ?? current;
  };
  return (): PartitionQueue => {
    current = next();
    const queue = queues[current];
    invariant(queue !== undefined, `no partition ${current} of ${queues.length}`);
    return queue;
  };
}
