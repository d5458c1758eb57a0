import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from 'kafkajs';
import { NotAppendedError } from './append-errors';
import type { Delivery } from './batch-delivery';

/** A batch grows by itself while the one before it is under way; the cap matters only after an outage. */
const BATCH_RECORDS_MAX = 500;
/** Half of what a broker takes by default, because framing adds to it. */
const BATCH_BYTES_MAX = 512 * 1024;
/** Bytes the protocol adds to a record, rounded up. */
const RECORD_OVERHEAD_BYTES = 64;

/** A record on its way; exactly one of the two is called, once. */
export interface Waiting {
  readonly message: Message & { readonly value: Buffer };
  readonly acknowledged: (offset: bigint) => void;
  readonly failed: (error: unknown) => void;
}

/** The records of one partition, sent in order, one batch at a time. */
export interface PartitionLane {
  push(waiting: Waiting): void;
  /** Records that have not been handed to Kafka. */
  queued(): number;
  /** Whether what is queued fills a batch. */
  isFull(): boolean;
  /** Whether a batch is under way. */
  isSending(): boolean;
  /** Takes out what has not been handed to Kafka. */
  removeUnsent(): readonly Waiting[];
}

/** `lingerMs`: how long to gather before each send; 0 sends what one turn of the event loop brought. */
export function createPartitionLane(
  partition: number,
  { delivery, lingerMs }: { delivery: Delivery; lingerMs: number },
): PartitionLane {
  const queue: Waiting[] = [];
  let busy = false;
  let sending = false;

  async function pump(): Promise<void> {
    while (queue.length > 0) {
      if (lingerMs > 0 && queue.length < BATCH_RECORDS_MAX) await sleep(lingerMs);
      sending = true;
      await deliver(takeBatch(queue));
      sending = false;
    }
    busy = false;
  }

  async function deliver(batch: readonly Waiting[]): Promise<void> {
    try {
      const messages = batch.map(({ message }) => message);
      const first = await delivery.deliver(partition, messages);
      batch.forEach(({ acknowledged }, index) => {
        acknowledged(first + BigInt(index));
      });
    } catch (error) {
      if (error instanceof NotAppendedError && batch.length > 1) {
        // One record that Kafka refuses must not take its neighbours with it, nor block the partition.
        const middle = Math.ceil(batch.length / 2);
        await deliver(batch.slice(0, middle));
        await deliver(batch.slice(middle));
        return;
      }
      for (const { failed } of batch) failed(error);
    }
  }

  return {
    push: (waiting) => {
      queue.push(waiting);
      if (busy) return;
      busy = true;
      setImmediate(() => void pump());
    },
    queued: () => queue.length,
    isFull: () => queue.length >= BATCH_RECORDS_MAX,
    isSending: () => sending,
    removeUnsent: () => queue.splice(0),
  };
}

/** As many records from the front as fit into one batch, at least one unless the queue is empty. */
function takeBatch(queue: Waiting[]): Waiting[] {
  let bytes = 0;
  let count = 0;
  for (const { message } of queue.slice(0, BATCH_RECORDS_MAX)) {
    bytes += sizeOf(message);
    if (count > 0 && bytes > BATCH_BYTES_MAX) break;
    count++;
  }
  return queue.splice(0, count);
}

function sizeOf({ key, value, headers = {} }: Waiting['message']): number {
  let bytes = RECORD_OVERHEAD_BYTES + value.length + (key?.length ?? 0);
  for (const [name, text] of Object.entries(headers)) bytes += name.length + (text?.length ?? 0);
  return bytes;
}
