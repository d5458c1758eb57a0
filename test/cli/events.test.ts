import { events } from '../../cli/events';
import type { ItemId, OrderId, RequestId } from '../../engine/orders/order';
import type { OrderEvent } from '../../engine/orders/order-event';
import { anOrder } from '../support/purchases';
import { textTerminal } from './text-terminal';

function event(name: string, at: number, fields: Partial<OrderEvent> = {}): OrderEvent {
  const order = anOrder();
  return {
    order: {
      ...order,
      requestId: name as RequestId,
      orderId: `order-${name}` as OrderId,
      itemId: (name === 'd' ? '202' : '101') as ItemId,
    },
    revision: at,
    at,
    status: 'confirmed',
    paymentId: `pay-${name}`,
    generation: 1,
    ...fields,
  };
}

const declined = event('b', 1, { status: 'failed', reason: 'payment-declined' });
// As partitions come: not in the order of time, and with a repetition.
const LOG = [event('c', 3), event('a', 2), declined, event('d', 4), event('a', 2)];

async function show(options: Partial<Parameters<typeof events>[1]> = {}) {
  const terminal = textTerminal();
  const asked: unknown[] = [];
  const read: Parameters<typeof events>[0]['read'] = (since, onEvent) => {
    asked.push(since.sinceMs);
    for (const one of LOG) onEvent(one);
    return Promise.resolve();
  };
  expect(await events({ terminal, read }, { max: 50, ...options })).toBe(0);
  return { text: terminal.written(), asked };
}

const subjects = async (options: Parameters<typeof show>[0]) => {
  const { text } = await show({ ...options, json: true });
  return (JSON.parse(text) as { subject: string }[]).map(({ subject }) => subject);
};

test('lists each event once, by its time', async () => {
  const { text, asked } = await show({ since: 5 });
  expect(asked).toEqual([5]);
  expect(text).toMatch(
    /b .*u1 .*101 ×1 .*payment-declined .* - .*order-b:1[^]*a .*10\.00 USD .*pay-a/,
  );
  expect(await subjects({})).toEqual(['b', 'a', 'c', 'd']);
});

test('selects by item and by order, and shows the newest', async () => {
  expect(await subjects({ item: '202' })).toEqual(['d']);
  expect(await subjects({ order: 'a' })).toEqual(['a']);
  expect(await subjects({ max: 2 })).toEqual(['c', 'd']);
  expect((await show({ max: 2 })).text).toContain('The newest 2; --max shows more.');
  expect((await show({ order: 'x' })).text).toBe('No events.\n');
});
