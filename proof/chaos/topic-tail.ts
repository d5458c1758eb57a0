import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { decodeDeadLetter } from '../../engine/kafka/dead-letters';
import { withAdmin, type TopicNames } from '../../engine/kafka/topics';
import type { DeadLetter } from '../../engine/orders/dead-letter';
import type { OrderEvent } from '../../engine/orders/order-event';
import { decodeAnyEvent, type ReturnEvent } from '../../engine/orders/return-event';
import type { Order } from '../../engine/orders/order';
import { decodeOrder } from '../../engine/orders/order-record';
import { until } from '../../platform/until';

const CATCH_UP_MS_MAX = 30_000;

/** Reads the topics from their beginning, with a group of its own: what is in them does not depend on any process. */
export async function openTopicTail(
  kafka: Kafka,
  {
    ordersTopic,
    deadLetterTopic,
    orderEventsTopic,
  }: Pick<TopicNames, 'ordersTopic' | 'deadLetterTopic' | 'orderEventsTopic'>,
) {
  const topics = [ordersTopic, deadLetterTopic, orderEventsTopic];
  const records = new Map<string, Order[]>();
  const letters = new Map<string, DeadLetter[]>();
  const events = new Map<string, OrderEvent[]>();
  const returns = new Map<string, ReturnEvent[]>();
  const read = new Map<string, bigint>();
  const groupId = `tail-${randomUUID()}`;
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false });
  await consumer.connect();
  await consumer.subscribe({ topics, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      const { topic, partition, messages } = batch;
      for (const { headers = {}, ...message } of messages) {
        if (topic === ordersTopic) {
          const decoded = decodeOrder(message.value);
          if (decoded.kind !== 'order') continue;
          add(records, decoded.order.itemId, decoded.order);
        } else if (topic === orderEventsTopic) {
          const decoded = decodeAnyEvent(message.value);
          if (decoded.kind === 'invalid') throw new Error(`an event is ${decoded.problem}`);
          const { event } = decoded;
          if ('returned' in event) add(returns, event.order.itemId, event);
          else add(events, event.order.itemId, event);
        } else {
          const letter = decodeDeadLetter({ topic, partition, ...message, headers });
          add(letters, letter.itemId ?? '', letter);
        }
      }
      read.set(`${topic}:${partition}`, BigInt(batch.lastOffset()) + 1n);
      return Promise.resolve();
    },
  });

  /** Partitions that have more records than were read. */
  const unread = () =>
    withAdmin(kafka, async (admin) => {
      const ends = topics.map(async (topic) =>
        (await admin.fetchTopicOffsets(topic))
          .map(({ partition, high }) => ({ partition: `${topic}:${partition}`, high }))
          .filter(({ partition, high }) => (read.get(partition) ?? 0n) < BigInt(high)),
      );
      return (await Promise.all(ends)).flat();
    });
  return {
    /** Resolves once everything that is in the topics now has been read. */
    catchUp: (signal: AbortSignal) =>
      until(
        'the topics were not read to their end',
        async () => {
          const left = await unread();
          if (left.length > 0) throw new Error(`unread: ${JSON.stringify(left)}`);
        },
        { withinMs: CATCH_UP_MS_MAX, signal },
      ),
    /** The records of an item's orders, repeats included. */
    records: (itemId: string): readonly Order[] => records.get(itemId) ?? [],
    /** An item's dead letters, repeats included. */
    letters: (itemId: string): readonly DeadLetter[] => letters.get(itemId) ?? [],
    /** The events of an item's orders, repeats included. */
    events: (itemId: string): readonly OrderEvent[] => events.get(itemId) ?? [],
    /** The events of refunds and disputes of an item's orders, repeats included. */
    returns: (itemId: string): readonly ReturnEvent[] => returns.get(itemId) ?? [],
    close: () => consumer.disconnect(),
  };
}

function add<T>(lists: Map<string, T[]>, key: string, value: T): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}
