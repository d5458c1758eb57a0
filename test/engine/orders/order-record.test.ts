import fc from 'fast-check';
import { AMOUNT_MAX, type Order, type OrderId } from '../../../engine/orders/order';
import {
  fingerprint,
  decodeOrder,
  encodeOrder,
  originalText,
} from '../../../engine/orders/order-record';
import { anOrder, aPurchase } from '../../support/purchases';

const ORDER = anOrder(aPurchase({ requestId: 'req-1', userId: 'u1', itemId: '101', amount: 2 }));

/** The record of ORDER with some fields changed. */
function recordWith(fields: Record<string, unknown>): Buffer {
  const record = JSON.parse(encodeOrder(ORDER).toString()) as Record<string, unknown>;
  return Buffer.from(JSON.stringify({ ...record, ...fields }));
}

describe('encodeOrder', () => {
  test('writes snake_case fields in one fixed order, whatever the order of the object', () => {
    const { requestId, ...rest } = ORDER;
    const text = encodeOrder({ ...rest, requestId }).toString();
    expect(text).toBe(
      '{"v":1,"request_id":"req-1","user_id":"u1","item_id":"101","amount":2,"price_minor":1000,' +
        `"currency":"USD","fingerprint":"${ORDER.fingerprint}","accepted_at":1700000000000}`,
    );
  });

  test('writes what the buyer pays with, and leaves the record of an order without it as it was', () => {
    for (const payment of [{ method: 'pm_1', customer: 'cus_1' }, { method: 'pm_1' }]) {
      const record = encodeOrder({ ...ORDER, payment });
      const decoded = decodeOrder(record);
      if (decoded.kind !== 'order') throw new Error(decoded.problem);
      expect(decoded.order.payment).toEqual(payment);
      expect(encodeOrder(decoded.order)).toEqual(record);
      expect(fingerprint(decoded.order)).toBe(ORDER.fingerprint);
    }
    expect(encodeOrder(ORDER).toString()).not.toContain('payment');
  });

  test('writes how long the buyer has to pay, and leaves the record of an order that is charged as it was', () => {
    const record = encodeOrder({ ...ORDER, payWithinMs: 600_000 });
    const decoded = decodeOrder(record);
    if (decoded.kind !== 'order') throw new Error(decoded.problem);
    expect(decoded.order).toEqual({ ...ORDER, payWithinMs: 600_000 });
    expect(encodeOrder(decoded.order)).toEqual(record);
    expect(encodeOrder({ ...ORDER, payWithinMs: undefined })).toEqual(encodeOrder(ORDER));
  });

  test('writes the order id behind the request_id, and leaves the record of an order without one as it was', () => {
    const named = encodeOrder({ ...ORDER, orderId: 'Ab-_.9z' as OrderId });
    expect(named.toString()).toContain('"request_id":"req-1","order_id":"Ab-_.9z","user_id"');
    for (const record of [named, encodeOrder(ORDER)]) {
      const decoded = decodeOrder(record);
      if (decoded.kind !== 'order') throw new Error(decoded.problem);
      expect(encodeOrder(decoded.order)).toEqual(record);
      expect(originalText(record, decoded.order)).toEqual({});
    }
  });
});

describe('decodeOrder', () => {
  test('reads back every order that can be written', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,127}$/);
    const amount = fc.integer({ min: 1, max: AMOUNT_MAX });
    const price = fc.integer({ min: 1, max: 100_000_000 });
    fc.assert(
      fc.property(id, id, id, amount, price, (requestId, userId, itemId, units, priceMinor) => {
        const purchase = aPurchase({ requestId, userId, itemId, amount: units });
        const order: Order = { ...anOrder(purchase), priceMinor };
        expect(decodeOrder(encodeOrder(order))).toEqual({ kind: 'order', order });
      }),
    );
  });

  test('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.json()), (value) => {
        expect(decodeOrder(Buffer.from(value))).toMatchObject({ kind: 'invalid' });
      }),
    );
  });

  test.each([
    ['no value', null, 'no value'],
    ['text that is not JSON', Buffer.from('{"v":1'), 'not JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'not JSON'],
    ['a byte order mark', Buffer.concat([Buffer.from('﻿'), encodeOrder(ORDER)]), 'not JSON'],
    ['a list', Buffer.from('[]'), '/'],
    ['another version', recordWith({ v: 2 }), '/v'],
    ['an amount of zero', recordWith({ amount: 0 }), '/amount'],
    ['an amount above the limit', recordWith({ amount: AMOUNT_MAX + 1 }), '/amount'],
    ['half a unit', recordWith({ amount: 1.5 }), '/amount'],
    ['an item id with a brace', recordWith({ item_id: '{101}' }), '/item_id'],
    ['an id that is too long', recordWith({ user_id: 'u'.repeat(129) }), '/user_id'],
    ['an order id with a colon', recordWith({ order_id: 'a:1' }), '/order_id'],
    ['an order id that is too long', recordWith({ order_id: 'a'.repeat(65) }), '/order_id'],
    ['a price of zero', recordWith({ price_minor: 0 }), '/price_minor'],
    ['a total beyond exact numbers', recordWith({ price_minor: 2 ** 52 }), '/price_minor'],
    ['a time after the year 9999', recordWith({ accepted_at: 9e15 }), '/accepted_at'],
    ['too little time to pay', recordWith({ pay_within_ms: 4_999 }), '/pay_within_ms'],
    ['too much time to pay', recordWith({ pay_within_ms: 43_200_001 }), '/pay_within_ms'],
    ['half a millisecond to pay', recordWith({ pay_within_ms: 9_999.5 }), '/pay_within_ms'],
    ['a lower-case currency', recordWith({ currency: 'usd' }), '/currency'],
    ['another user under the fingerprint', recordWith({ user_id: 'u2' }), '/fingerprint'],
    ['a record that is too large', recordWith({ note: 'x'.repeat(20_000) }), 'bytes'],
  ])('refuses %s and says why', (_, value, problem) => {
    const decoded = decodeOrder(value);
    expect(decoded).toMatchObject({
      kind: 'invalid',
      problem: expect.stringContaining(problem) as unknown,
    });
  });

  test('names the request of a record that it refuses, if the id can be read', () => {
    expect(decodeOrder(recordWith({ amount: 0 }))).toMatchObject({
      requestId: 'req-1',
      itemId: '101',
    });
    expect(decodeOrder(recordWith({ request_id: 'no spaces' }))).not.toHaveProperty('requestId');
  });

  test('accepts a record with an unknown field', () => {
    expect(decodeOrder(recordWith({ channel: 'app' }))).toEqual({ kind: 'order', order: ORDER });
  });
});

describe('fingerprint', () => {
  const purchase = aPurchase({ userId: 'a', itemId: 'b1', amount: 1 });

  test('is the same for the same user, item and amount, whatever the request', () => {
    expect(fingerprint({ ...purchase, ...aPurchase({ userId: 'a', itemId: 'b1' }) })).toBe(
      fingerprint(purchase),
    );
    expect(fingerprint(purchase)).toMatch(/^[\w-]{22}$/);
  });

  test('keeps the borders between its parts', () => {
    const shifted = aPurchase({ userId: 'ab', itemId: '1', amount: 1 });
    expect(fingerprint(shifted)).not.toBe(fingerprint(purchase));
    expect(fingerprint({ ...purchase, amount: 2 })).not.toBe(fingerprint(purchase));
  });
});
