import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decodeOrderEvent,
  encodeOrderEvent,
  outcomeEvent,
  type OrderEvent,
} from '../../../engine/orders/order-event';
import type { LedgerEntry } from '../../../engine/orders/ledger';
import type { OrderId } from '../../../engine/orders/order';
import { anOrder } from '../../support/purchases';

const order = { ...anOrder(), orderId: 'ord-1' as OrderId };
const { itemId, requestId } = order;
const entry: LedgerEntry = {
  orderId: order.orderId,
  state: 'sold',
  units: order.amount,
  userId: order.userId,
  fingerprint: order.fingerprint,
  generation: 1,
  fence: 5,
  unresolvedCharges: [],
  priceMinor: order.priceMinor,
  currency: order.currency,
  acceptedAt: order.acceptedAt,
  finishedAt: order.acceptedAt + 250,
  paymentId: 'ch_1',
  timeline: [],
  revision: order.acceptedAt + 250,
};
const eventOf = (fields: Partial<LedgerEntry>) =>
  outcomeEvent({ itemId, requestId, entry: { ...entry, ...fields } });
const sold = eventOf({}) as OrderEvent;
const recordOf = (event: OrderEvent) =>
  JSON.parse(encodeOrderEvent(event).toString()) as Record<string, unknown>;

test('an event is a CloudEvent under the order id and the revision', () => {
  const at = new Date(order.acceptedAt + 250).toISOString();
  expect(recordOf(sold)).toEqual({
    specversion: '1.0',
    id: `${order.orderId}:${String(order.acceptedAt + 250)}`,
    source: '/flash-sale-engine',
    type: 'flash-sale.order.confirmed.v1',
    subject: requestId,
    time: at,
    datacontenttype: 'application/json',
    data: {
      request_id: requestId,
      order_id: order.orderId,
      revision: order.acceptedAt + 250,
      item_id: itemId,
      user_id: order.userId,
      amount: order.amount,
      price_minor: order.priceMinor,
      currency: order.currency,
      status: 'confirmed',
      reason: null,
      payment_id: 'ch_1',
      generation: 1,
      accepted_at: new Date(order.acceptedAt).toISOString(),
      finished_at: at,
    },
  });
});

test.each<[string, Partial<LedgerEntry>]>([
  ['a sale', {}],
  ['a failure', { state: 'released', reason: 'payment-declined' }],
  ['a cancellation', { state: 'released', reason: 'cancelled' }],
])('%s is read as it was written', (_, fields) => {
  const event = eventOf(fields) as OrderEvent;
  expect(decodeOrderEvent(encodeOrderEvent(event))).toEqual({ kind: 'event', event });
});

test.each<[string, Partial<LedgerEntry>]>([
  ['is only held', { state: 'held' }],
  ['is queued', { state: 'queued' }],
  ['is reserved', { state: 'reserved' }],
  ['is older than order ids', { orderId: undefined }],
])('nothing is told of an order that %s', (_, fields) => {
  expect(eventOf(fields)).toBeUndefined();
});

test('a change by a process that knows no revisions is told under its own id', () => {
  expect(eventOf({ finishedAt: 9 + order.acceptedAt, revision: 4 })?.revision).toBe(
    9 + order.acceptedAt,
  );
});

test('nothing is told of an entry that is older than revisions', () => {
  const old = Object.fromEntries(Object.entries(entry).filter(([name]) => name !== 'revision'));
  expect(outcomeEvent({ itemId, requestId, entry: old as unknown as LedgerEntry })).toBeUndefined();
});

test('the example in the documentation is an event', () => {
  const text = readFileSync(join(__dirname, '../../../docs/events.md'), 'utf8');
  const [, example = ''] = /```json\n([^]+?)```/.exec(text) ?? [];
  expect(decodeOrderEvent(Buffer.from(example))).toMatchObject({ kind: 'event' });
});

describe('a record that is no event is refused:', () => {
  const record = recordOf(sold);
  const data = record['data'] as Record<string, unknown>;
  test.each<[string, unknown]>([
    ['no JSON', 'x'],
    ['an order', { v: 1 }],
    ['another version of CloudEvents', { ...record, specversion: '2.0' }],
    ['the id of another revision', { ...record, id: `${order.orderId}:5` }],
    ['the type of another status', { ...record, type: 'flash-sale.order.failed.v1' }],
    ['a status that is none', { ...record, data: { ...data, status: 'queued' } }],
    [
      'a time that does not exist',
      { ...record, data: { ...data, finished_at: '2026-99-01T00:00:00.000Z' } },
    ],
    ['another subject', { ...record, subject: 'req-other' }],
    ['another time', { ...record, time: '2026-01-05T12:00:00.000Z' }],
    [
      'the 31st of February',
      { ...record, data: { ...data, accepted_at: '2026-02-31T00:00:00.000Z' } },
    ],
    ['a sale with a reason', { ...record, data: { ...data, reason: 'sold-out' } }],
    [
      'a payment id with a control character',
      { ...record, data: { ...data, payment_id: 'a\u0000' } },
    ],
    ['no revision', { ...record, data: { ...data, revision: undefined } }],
  ])('%s', (_, value) => {
    const bytes = Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
    expect(decodeOrderEvent(bytes).kind).toBe('invalid');
  });

  test('no value', () => {
    expect(decodeOrderEvent(null).kind).toBe('invalid');
  });

  test('unknown fields pass', () => {
    const newer = { ...record, traceparent: 'x', data: { ...data, gift: true } };
    const decoded = decodeOrderEvent(Buffer.from(JSON.stringify(newer)));
    expect(decoded).toEqual({ kind: 'event', event: sold });
  });
});
