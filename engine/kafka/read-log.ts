import { randomUUID } from 'node:crypto';
import type { Admin, Consumer, Kafka } from 'kafkajs';
import { within } from '../../platform/until';
import { type Cancellation, decodeCancellation } from '../orders/cancellation-record';
import type { ItemId, Order, RequestId } from '../orders/order';
import type { OrderEvent } from '../orders/order-event';
import { decodeAnyEvent, type ReturnEvent } from '../orders/return-event';
import { decodeOrder } from '../orders/order-record';
import type { LogRecord } from './consumer';
import { withAdmin } from './topics';

/** A rebuild may have a long log to read. This only bounds a Kafka that stops answering. */
const READ_ORDERS_MS_MAX = 300_000;

export interface LoggedOrder {
  readonly order: Order;
  /** Whether ingest has finished its record, so that it has started a workflow or refused the order. */
  readonly isFinished: boolean;
}

/** All orders of an item in the log, by id. Of two records with one id the first counts, as at ingest. */
export async function readOrders(
  kafka: Kafka,
  { topic, groupId }: { readonly topic: string; readonly groupId: string },
  itemId: ItemId,
): Promise<ReadonlyMap<RequestId, LoggedOrder>> {
  const orders = new Map<RequestId, LoggedOrder>();
  const committed = await withAdmin(kafka, (admin) => committedOffsets(admin, topic, groupId));
  const options = { fromOffset: '0', msMax: READ_ORDERS_MS_MAX };
  await readLog(kafka, topic, options, ({ value, partition, offset }) => {
    const decoded = decodeOrder(value);
    if (decoded.kind !== 'order' || decoded.order.itemId !== itemId) return;
    const { order } = decoded;
    if (orders.has(order.requestId)) return;
    orders.set(order.requestId, { order, isFinished: BigInt(offset) < committed(partition) });
  });
  return orders;
}

/** The cancellations of an item, by request_id: of one that names several orders, the newest order's. */
export type Cancellations = ReadonlyMap<RequestId, Cancellation>;

/**
 * All cancellations of an item in the log; with `requestIds`, only theirs. Each takes about half a kilobyte of memory, and
 * there are at most as many as orders in the log.
 */
export async function readCancellations(
  kafka: Kafka,
  topic: string,
  itemId: ItemId,
  requestIds?: ReadonlySet<RequestId>,
): Promise<Cancellations> {
  const found = new Map<RequestId, Cancellation>();
  const options = { fromOffset: '0', msMax: READ_ORDERS_MS_MAX };
  await readLog(kafka, topic, options, ({ value }) => {
    const cancellation = decodeCancellation(value);
    if (cancellation?.order.itemId !== itemId) return;
    const { requestId, acceptedAt } = cancellation.order;
    if (requestIds && !requestIds.has(requestId)) return;
    if (acceptedAt < (found.get(requestId)?.order.acceptedAt ?? 0)) return;
    found.set(requestId, cancellation);
  });
  return found;
}

/**
 * Passes every event of an order to `onEvent`, repetitions included, from the first that was appended at `sinceMs` or later.
 * Of one order they come in the order in which they were appended.
 */
export async function readOrderEvents(
  kafka: Kafka,
  topic: string,
  { sinceMs = 0 }: { readonly sinceMs?: number | undefined },
  onEvent: (event: OrderEvent | ReturnEvent) => void,
): Promise<void> {
  await readLog(kafka, topic, { fromMs: sinceMs, msMax: READ_ORDERS_MS_MAX }, ({ value }) => {
    const decoded = decodeAnyEvent(value);
    if (decoded.kind === 'event') onEvent(decoded.event);
  });
}

/** A record is younger than its order, but the clocks of Redis and of the log may differ by so much. */
const CLOCKS_DIFFER_MS_MAX = 10 * 60_000;

/** Which of these orders the log has a record of. Reads it from the oldest of them on: a lost record is appended late. */
export async function findRecords(
  kafka: Kafka,
  topic: string,
  orders: readonly Pick<Order, 'requestId' | 'acceptedAt'>[],
): Promise<ReadonlySet<RequestId>> {
  const wanted = new Set<string>(orders.map(({ requestId }) => requestId));
  const found = new Set<RequestId>();
  const oldest = orders.reduce((min, { acceptedAt }) => Math.min(min, acceptedAt), Date.now());
  const options = { fromMs: oldest - CLOCKS_DIFFER_MS_MAX, msMax: READ_ORDERS_MS_MAX };
  await readLog(kafka, topic, options, ({ key }) => {
    const requestId = key?.toString();
    if (requestId !== undefined && wanted.has(requestId)) found.add(requestId as RequestId);
  });
  return found;
}

/**
 * Whether a topic still has every record since a time: no partition begins later, and the log is as old. A topic that was
 * lost and created again begins at offset 0 as well, but with younger records.
 */
export function logReachesBackTo(kafka: Kafka, topic: string, sinceMs: number): Promise<boolean> {
  return withAdmin(kafka, async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic);
    const older = await firstOffsets(admin, topic, { fromMs: sinceMs - CLOCKS_DIFFER_MS_MAX });
    const young = await firstOffsets(admin, topic, { fromMs: sinceMs + CLOCKS_DIFFER_MS_MAX });
    const isAsOld = offsets.some(({ partition, low }) => young(partition) > BigInt(low));
    return (
      isAsOld &&
      offsets.every(({ partition, low }) => low === '0' || older(partition) > BigInt(low))
    );
  });
}

/** What a partition holds: the offset of its oldest record, and the one behind its newest. */
export interface LogEnd {
  readonly partition: number;
  readonly low: bigint;
  readonly high: bigint;
}

/** Every record that Kafka has acknowledged before the call is before these ends. */
export async function logEnds(
  kafka: Kafka,
  topic: string,
  msMax?: number,
): Promise<readonly LogEnd[]> {
  const ends = await withAdmin(kafka, (admin) => admin.fetchTopicOffsets(topic), msMax);
  return ends.map(({ partition, low, high }) => ({
    partition,
    low: BigInt(low),
    high: BigInt(high),
  }));
}

/** Whether a group has finished every record that a topic holds at the time of the call. */
export function isLogRead(kafka: Kafka, topic: string, groupId: string): Promise<boolean> {
  return withAdmin(kafka, async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic);
    const committed = await committedOffsets(admin, topic, groupId);
    // A partition without a committed offset (-1) was not read, unless it is empty.
    return ends.every(
      ({ partition, low, high }) => low === high || committed(partition) >= BigInt(high),
    );
  });
}

/** Where a group goes on in each partition; -1: it has finished nothing. */
async function committedOffsets(admin: Admin, topic: string, groupId: string) {
  const [group] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const offsets = new Map(group?.partitions.map(({ partition, offset }) => [partition, offset]));
  return (partition: number) => BigInt(offsets.get(partition) ?? -1);
}

/** Closing waits for the current fetch. With kafkajs's 5 s, an idle broker delays the end of every read by so much. */
const IDLE_FETCH_MS_MAX = 200;

/** Where to begin in each partition: at an offset, at one for each, or at the first record that was appended at a time. */
type Start =
  | { readonly fromOffset: string }
  | { readonly fromOffsets: ReadonlyMap<number, bigint> }
  | { readonly fromMs: number };

/**
 * Passes every record to `onRecord`, in each partition from the start to the end of the log at the time of the call.
 * Commits nothing, and deletes its consumer group where it may. Throws when Kafka does not deliver the records in `msMax`.
 */
export async function readLog(
  kafka: Kafka,
  topic: string,
  { msMax, ...start }: Start & { readonly msMax: number },
  onRecord: (record: LogRecord) => void,
): Promise<void> {
  const ranges = await withAdmin(kafka, (admin) => rangesOf(admin, topic, start));
  if (ranges.length === 0) return;

  // A new group, so that no other reader has a share of the partitions.
  const groupId = `${topic}-reader-${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: IDLE_FETCH_MS_MAX,
  });
  try {
    await within(consume(consumer, topic, ranges, onRecord), msMax, `reading ${topic}`);
  } finally {
    await within(consumer.disconnect(), msMax, `closing the reader of ${topic}`);
  }
  // A group without commits also disappears by itself: after a failed read, and where this process may not delete it.
  const deleted = withAdmin(kafka, (admin) => admin.deleteGroups([groupId]));
  await deleted.catch(() => undefined);
}

/** What is left to read of a partition: from `next` to before `end`. */
interface Range {
  readonly partition: number;
  next: bigint;
  readonly end: bigint;
}

async function rangesOf(admin: Admin, topic: string, start: Start): Promise<Range[]> {
  const offsets = await admin.fetchTopicOffsets(topic);
  const first = await firstOffsets(admin, topic, start);
  return offsets
    .map(({ partition, low, high }) => {
      const next = first(partition);
      return { partition, next: next > BigInt(low) ? next : BigInt(low), end: BigInt(high) };
    })
    .filter(({ next, end }) => next < end);
}

async function firstOffsets(admin: Admin, topic: string, start: Start) {
  if ('fromOffset' in start) return () => BigInt(start.fromOffset);
  if ('fromOffsets' in start) {
    return (partition: number) => start.fromOffsets.get(partition) ?? 0n;
  }
  const found = await admin.fetchTopicOffsetsByTimestamp(topic, Math.max(0, start.fromMs));
  const offsets = new Map(found.map(({ partition, offset }) => [partition, BigInt(offset)]));
  return (partition: number) => offsets.get(partition) ?? 0n;
}

async function consume(
  consumer: Consumer,
  topic: string,
  ranges: readonly Range[],
  onRecord: (record: LogRecord) => void,
): Promise<void> {
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      if (!restart) reject(error);
    });
    // After each join: a consumer that crashed restarts at the beginning of the log, and kafkajs refuses to seek
    // before it has joined.
    consumer.on(consumer.events.GROUP_JOIN, () => {
      for (const { partition, next } of ranges) {
        consumer.seek({ topic, partition, offset: String(next) });
      }
    });
    const running = consumer.run({
      autoCommit: false,
      eachBatch: ({ batch }) => {
        const range = ranges.find(({ partition }) => partition === batch.partition);
        for (const { headers = {}, ...message } of batch.messages) {
          const offset = BigInt(message.offset);
          if (!range || offset < range.next || offset >= range.end) continue;
          onRecord({ topic, partition: batch.partition, ...message, headers });
        }
        // From the batch, not from its records: its last offsets may be markers that are not delivered.
        const next = BigInt(batch.lastOffset()) + 1n;
        // A fetch from before the seek may still arrive and must not move the position back.
        if (range && next > range.next) range.next = next;
        if (ranges.every(({ next, end }) => next >= end)) resolve();
        return Promise.resolve();
      },
    });
    running.catch(reject);
  });
}
