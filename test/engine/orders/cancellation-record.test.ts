import fc from 'fast-check';
import {
  decodeCancellation,
  encodeCancellation,
  type Cancellation,
} from '../../../engine/orders/cancellation-record';
import { decodeOrder, encodeOrder } from '../../../engine/orders/order-record';
import { anOrder } from '../../support/purchases';

const CANCELLATION: Cancellation = {
  order: anOrder(),
  at: 1_700_000_000_500,
  generation: 2,
  unresolvedCharges: [1, 2],
};

describe('the record of a cancellation', () => {
  test('is read back as it was written, and is also a record of its order', () => {
    const value = encodeCancellation(CANCELLATION);
    expect(decodeCancellation(value)).toEqual(CANCELLATION);
    expect(decodeOrder(value)).toEqual({ kind: 'order', order: CANCELLATION.order });
  });

  test.each([
    ['without a value', null],
    ['of an order alone', encodeOrder(CANCELLATION.order)],
    ['that is not JSON', Buffer.from('{')],
  ])('%s is none', (_, value) => {
    expect(decodeCancellation(value)).toBeUndefined();
  });

  test('never throws, whatever stands in its fields', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (at, unresolved_charges) => {
        const record = JSON.parse(encodeOrder(CANCELLATION.order).toString()) as object;
        const fields = { ...record, at, unresolved_charges, generation: 1 };
        expect(() => decodeCancellation(Buffer.from(JSON.stringify(fields)))).not.toThrow();
      }),
    );
  });
});
