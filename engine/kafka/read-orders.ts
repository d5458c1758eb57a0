import type { Kafka } from 'kafkajs';
import type { ItemId, Order, RequestId } from '../orders/order';
import { decodeOrder } from '../orders/order-record';
import { readLog } from './read-log';

/** A guard against a Kafka that stops answering, not an expectation: a rebuild may have a long log to read. */
const READ_MS_MAX = 300_000;

/** Every order of an item in the log, by its id; of two records under one id the first counts, as at ingest. */
export async function readOrders(
  kafka: Kafka,
  topic: string,
  itemId: ItemId,
): Promise<ReadonlyMap<RequestId, Order>> {
  const orders = new Map<RequestId, Order>();
  await readLog(kafka, topic, { fromOffset: '0', msMax: READ_MS_MAX }, ({ value }) => {
    const decoded = decodeOrder(value);
    if (decoded.kind !== 'order' || decoded.order.itemId !== itemId) return;
    const { order } = decoded;
    if (!orders.has(order.requestId)) orders.set(order.requestId, order);
  });
  return orders;
}
