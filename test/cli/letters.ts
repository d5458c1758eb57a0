import type { Order } from '../../engine/orders/order';
import type { DeadLetterMark } from '../../engine/orders/dead-letter';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { encodeOrder } from '../../engine/orders/order-record';
import { anOrder, aPurchase } from '../support/purchases';

/** 24 November 2026, so many seconds after ten o'clock. */
export const at = (second: number) => Date.UTC(2026, 10, 24, 10, 0, second);

export function aLetter(fields: Partial<StoredDeadLetter> = {}): StoredDeadLetter {
  return {
    id: 'req-1:run-1',
    requestId: 'req-1',
    itemId: '101',
    reason: 'payment-declined',
    error: 'card_declined',
    generation: 1,
    at: at(0),
    value: Buffer.from('{}'),
    partition: 0,
    offset: '7',
    ...fields,
  };
}

export const order = (requestId: string): Order => anOrder(aPurchase({ requestId }));

/** The letter of an order whose run `<requestId>-run` has failed. */
export function aFailedOrder(requestId: string, fields: Partial<StoredDeadLetter> = {}) {
  const runId = `${requestId}-run`;
  const source = { topic: 'orders', partition: 3, offset: '42' };
  const value = encodeOrder(order(requestId));
  return aLetter({ id: `${requestId}:${runId}`, requestId, runId, source, value, ...fields });
}

/** A record that ingest could not read; its request_id is `requestId`, or nobody knows. */
export function anUnreadable(requestId?: string, fields: Partial<StoredDeadLetter> = {}) {
  const letter: StoredDeadLetter = {
    id: 'orders:3:17',
    reason: 'invalid-record',
    error: '/amount: no number',
    generation: 0,
    at: at(0),
    partition: 0,
    offset: '9',
    value: Buffer.from('{"amount":"one"}'),
    ...(requestId !== undefined && { requestId, itemId: '101' }),
  };
  return { ...letter, ...fields };
}

export function marked(
  letter: StoredDeadLetter,
  kind: DeadLetterMark['kind'],
  why = 'the buyer has gone',
): StoredDeadLetter {
  const mark = { kind, letterId: letter.id, by: 'bob', why, at: at(30) };
  return { ...letter, marks: [...(letter.marks ?? []), mark] };
}
