import { createServer } from 'node:http';
import { exportOrders, search } from '../../cli/order-search';
import { createGateway } from '../../client/gateway';
import { listenOnLoopback } from '../support/loopback-server';
import { aProblem, startFakeGateway, type Responder } from '../support/fake-gateway';
import { textTerminal } from './text-terminal';

const undo: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function against(respond: Responder) {
  const server = await startFakeGateway(respond);
  const gateway = createGateway(server.url, { token: 'token' });
  undo.push(server.close, gateway.close);
  const terminal = textTerminal();
  return { server, terminal, deps: { gateway, terminal } };
}

const anOrder = (n: number, fields: object = {}) => ({
  order_id: `order-${n}`,
  request_id: `req-${n}`,
  item_id: '101',
  user_id: 'u1',
  amount: 2,
  price_minor: 1000,
  currency: 'USD',
  status: 'confirmed',
  reason: null,
  payment_id: 'pay-7',
  generation: 1,
  accepted_at: '2026-11-24T10:00:00.000Z',
  finished_at: '2026-11-24T10:00:01.000Z',
  ...fields,
});
const page = (next: string | null, ...orders: object[]) => ({
  status: 200,
  body: { orders, next },
});

describe('orders search', () => {
  test('asks for what the options say, and shows what was found', async () => {
    const failed = anOrder(1, { status: 'failed', reason: 'payment-declined', payment_id: null });
    const { deps, server, terminal } = await against(() => page(null, anOrder(2), failed));
    const since = Date.parse('2026-11-24T10:00Z');
    const options = { item: '101', user: 'u1', requestId: 'a', payment: 'p&q', reason: 'sold-out' };
    expect(await search(deps, { ...options, status: 'failed', since, max: 50 })).toBe(0);
    expect(server.received.map(({ path }) => path)).toEqual([
      '/operator/orders?request_id=a&user_id=u1&item_id=101&payment_id=p%26q&status=failed&reason=sold-out&since=2026-11-24T10%3A00%3A00.000Z&limit=50',
    ]);
    expect(terminal.written()).toMatch(/req-2[^]*101 ×2[^]*confirmed[^]*20\.00 USD[^]*pay-7/);
    expect(terminal.written()).toContain('failed: payment-declined');
  });

  test('reads as many pages as it takes, and says when there is more', async () => {
    const { deps, server, terminal } = await against(({ path }) =>
      path.includes('cursor')
        ? page('/operator/orders?cursor=4', anOrder(3), anOrder(4))
        : page('/operator/orders?limit=3&cursor=2.x', anOrder(1), anOrder(2)),
    );
    expect(await search(deps, { max: 3 })).toBe(0);
    expect(server.received.map(({ path }) => path)).toEqual([
      '/operator/orders?limit=3',
      '/operator/orders?limit=3&cursor=2.x',
    ]);
    expect(terminal.written()).toContain('req-3');
    expect(terminal.written()).not.toContain('req-4');
    expect(terminal.written()).toContain('The newest 3');
  });

  test('prints JSON, and an empty list', async () => {
    const found = await against(() => page(null, anOrder(1)));
    await search(found.deps, { max: 50, json: true });
    expect(JSON.parse(found.terminal.written())).toEqual([anOrder(1)]);
    const none = await against(() => page(null));
    expect(await search(none.deps, { max: 50 })).toBe(0);
    expect(none.terminal.written()).toBe('No orders.\n');
  });

  test('says what the gateway says against it', async () => {
    const { deps } = await against(() => aProblem(404, 'no-archive'));
    await expect(search(deps, { max: 50 })).rejects.toThrow('404 no-archive');
  });
});

describe('orders export', () => {
  test('writes what comes, as it is', async () => {
    const { deps, server, terminal } = await against(() => ({
      status: 200,
      body: 'a,é\r\n1,2\r\n',
    }));
    expect(await exportOrders(deps, { format: 'csv', item: '101' })).toBe(0);
    expect(server.received.map(({ path }) => path)).toEqual([
      '/operator/orders?item_id=101&format=csv',
    ]);
    expect(terminal.written()).toBe('a,é\r\n1,2\r\n');
  });

  test('that is refused says why', async () => {
    const errors = [{ path: '/since', message: 'must be a time' }];
    const { deps } = await against(() => aProblem(400, 'invalid-request', { errors }));
    await expect(exportOrders(deps, { format: 'csv' })).rejects.toThrow(
      /400 invalid-request.*\/since must be a time/,
    );
  });

  test('is no JSON document', async () => {
    const { deps, server } = await against(() => page(null));
    await expect(exportOrders(deps, { format: 'csv', json: true })).rejects.toThrow('ndjson');
    expect(server.received).toEqual([]);
  });

  test('that is cut off fails', async () => {
    const server = createServer((_, response) => {
      response.write('a,b\r\n');
      setTimeout(() => response.destroy(), 20);
    });
    const { port, close } = await listenOnLoopback(server, { open: [] });
    const gateway = createGateway(`http://127.0.0.1:${port}`);
    undo.push(close, gateway.close);
    const terminal = textTerminal();
    await expect(exportOrders({ gateway, terminal }, { format: 'csv' })).rejects.toThrow(
      /was cut off .* not all/,
    );
    expect(terminal.written()).toBe('a,b\r\n');
  });

  test('fails when there is no gateway', async () => {
    const { deps, server } = await against(() => page(null));
    await server.close();
    await expect(exportOrders(deps, { format: 'csv' })).rejects.toThrow('Cannot reach the gateway');
  });
});
