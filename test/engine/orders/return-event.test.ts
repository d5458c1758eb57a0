import type { OrderId } from '../../../engine/orders/order';
import { decodeOrderEvent, encodeOrderEvent } from '../../../engine/orders/order-event';
import {
  decodeReturnEvent,
  encodeReturnEvent,
  returnEventId,
  toReturnCloudEvent,
  type ReturnEvent,
} from '../../../engine/orders/return-event';
import { newReturns, refundedMinor, type SaleReturn } from '../../../engine/orders/sale-return';
import { anAcceptance, anEvent } from '../../support/archived-records';

const { requestId, orderId, userId, itemId, amount, priceMinor, currency, acceptedAt } =
  anAcceptance({ requestId: 'req-1', orderId: 'order-1' });
const order = { requestId, orderId, userId, itemId, amount, priceMinor, currency, acceptedAt };
const REFUND: SaleReturn = {
  kind: 'refund',
  id: 're_1',
  operationId: 'op-1',
  amountMinor: 500,
  status: 'failed',
  at: 1_700_000_002_000,
  reason: 'account_closed',
};
const DISPUTE: SaleReturn = {
  kind: 'dispute',
  id: 'dp_1',
  amountMinor: 1_000,
  status: 'open',
  at: 1_700_000_003_000,
};
const event = (returned: SaleReturn): ReturnEvent => ({ order, paymentId: 'ch_1', returned });

test.each([REFUND, DISPUTE, { ...REFUND, status: 'pending' } as const])(
  'a $kind that is $status is read as it was written',
  (returned) => {
    const written = event(returned);
    expect(decodeReturnEvent(encodeReturnEvent(written))).toEqual({
      kind: 'event',
      event: written,
    });
    // An older reader takes it for no state of the order.
    expect(decodeOrderEvent(encodeReturnEvent(written)).kind).toBe('invalid');
  },
);

test('each status has an id of its own', () => {
  expect(returnEventId(event(REFUND))).toBe('order-1:refund:re_1:failed');
  expect(returnEventId(event(DISPUTE))).toBe('order-1:dispute:dp_1:open');
});

test('other records are none, and broken ones are told', () => {
  const state = encodeOrderEvent(
    anEvent({ ...anAcceptance({ orderId: 'o' }), orderId: 'o' as OrderId }),
  );
  for (const value of [null, Buffer.from('x'), Buffer.from('null'), state]) {
    expect(decodeReturnEvent(value)).toEqual({ kind: 'other' });
  }
  const good = toReturnCloudEvent(event(REFUND));
  const broken = [
    { ...good, id: 'order-1:refund:re_1:succeeded' },
    { ...good, subject: 'req-2' },
    { ...good, time: '2026-01-05T12:00:00.000Z' },
    { ...good, data: { ...good.data, refund: { id: 're_1' } } },
    { ...good, data: { ...good.data, amount: 0 } },
    { ...good, data: { ...good.data, accepted_at: '2026-02-31T12:00:00.000Z' } },
    { ...good, data: { ...good.data, refund: undefined } },
  ];
  for (const value of broken) {
    expect(decodeReturnEvent(Buffer.from(JSON.stringify(value))).kind).toBe('invalid');
  }
});

test('what is new is what comes later in the life of a refund', () => {
  const known = [{ ...REFUND, status: 'succeeded' } as const, DISPUTE];
  const pending = { ...REFUND, status: 'pending' } as const;
  const other = { ...REFUND, id: 're_2' };
  expect(newReturns([pending, REFUND, DISPUTE, other], known)).toEqual([REFUND, other]);
  expect(refundedMinor([pending, { ...pending, id: 're_2' }, REFUND, DISPUTE])).toBe(1_000);
  expect(refundedMinor()).toBe(0);
});
