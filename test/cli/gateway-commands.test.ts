import { buy, order } from '../../cli/orders';
import { stockShow } from '../../cli/stock';
import { createGateway, type Gateway } from '../../client/gateway';
import {
  ACCEPTED,
  anItemBody,
  anOrderBody,
  aProblem,
  startFakeGateway,
  type Responder,
} from '../support/fake-gateway';
import { textTerminal } from './text-terminal';

const trace = { temporalUi: 'http://ui', namespace: 'default' };
const undo: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function against(respond: Responder) {
  const server = await startFakeGateway(respond);
  const gateway = createGateway(server.url);
  undo.push(server.close, gateway.close);
  const terminal = textTerminal();
  return { server, gateway, terminal, deps: { gateway, terminal, trace, pollMs: 1 } };
}

const purchase = { item: '101', user: 'u1', amount: 2, requestId: 'req-1' };

describe('buy', () => {
  test('posts the purchase and exits 0 when it is accepted', async () => {
    const { deps, server, terminal } = await against(() => ACCEPTED);
    expect(await buy(deps, purchase)).toBe(0);
    expect(server.received).toEqual([
      {
        method: 'POST',
        path: '/buy',
        body: { user_id: 'u1', item_id: '101', amount: 2, request_id: 'req-1' },
      },
    ]);
    expect(terminal.written()).toContain('accepted');
    expect(terminal.written()).toContain('http://ui/namespaces/default/workflows/req-1');
  });

  test('makes up a fresh request_id for every purchase', async () => {
    const { deps, server } = await against(() => ACCEPTED);
    const unnamed = { item: '101', user: 'u1', amount: 2 };
    await buy(deps, unnamed);
    await buy(deps, unnamed);
    const ids = server.received.map(({ body }) => (body as { request_id: string }).request_id);
    expect(new Set(ids).size).toBe(2);
  });

  test('shows why it was turned away, field by field, and exits 1', async () => {
    const errors = [{ path: '/amount', message: 'must be a whole number' }];
    const { deps, terminal } = await against(() => aProblem(400, 'invalid-request', { errors }));
    expect(await buy(deps, purchase)).toBe(1);
    expect(terminal.written()).toContain('400 invalid-request');
    expect(terminal.written()).toContain('/amount must be a whole number');
  });

  test('shows the order that a repeated request has made before', async () => {
    const repeated = aProblem(409, 'duplicate-request', { order: anOrderBody() });
    const { deps, terminal } = await against(() => repeated);
    expect(await buy(deps, purchase)).toBe(1);
    expect(terminal.written()).toMatch(/confirmed[^]*pay-7/);
  });

  test('says under which id to try again when the engine is away', async () => {
    const { deps, terminal } = await against(() => aProblem(503, 'outcome-unknown'));
    expect(await buy(deps, purchase)).toBe(1);
    expect(terminal.written()).toContain('--request-id req-1');
  });

  test('tells a lost answer from a gateway that is not there', async () => {
    const { deps, server } = await against(() => 'hang up');
    await expect(buy(deps, purchase)).rejects.toThrow(
      /gave no answer.*may have gone through.*--request-id req-1/,
    );
    await server.close();
    await expect(buy(deps, purchase)).rejects.toThrow(
      `Cannot reach the gateway at ${server.url}: is the stack running? (npm start)`,
    );
  });

  test('follows the order to its outcome, and exits 1 when that is no sale', async () => {
    const looks = ['queued', 'reserved', 'failed'];
    const { deps, terminal } = await against(({ method }) => {
      if (method === 'POST') return ACCEPTED;
      const status = looks.shift();
      const reason = status === 'failed' ? 'payment-declined' : null;
      return { status: 200, body: anOrderBody({ status, reason }) };
    });
    expect(await buy(deps, { ...purchase, wait: true })).toBe(1);
    expect(looks).toEqual([]);
    expect(terminal.written()).toContain('failed: payment-declined');
  });

  test('stops following after a bound and says where the order stands', async () => {
    const { deps } = await against(({ method }) =>
      method === 'POST' ? ACCEPTED : { status: 200, body: anOrderBody({ status: 'queued' }) },
    );
    const waiting = buy({ ...deps, waitMsMax: 20 }, { ...purchase, wait: true });
    await expect(waiting).rejects.toThrow(/req-1 is still queued/);
  });

  test.each([
    ['accepted', ACCEPTED, false, ACCEPTED.body],
    ['followed', ACCEPTED, true, anOrderBody()],
    ['rejected', aProblem(409, 'sold-out'), true, aProblem(409, 'sold-out').body],
  ])('with --json prints one document: %s', async (_, reply, wait, document) => {
    const { deps, terminal } = await against(({ method }) =>
      method === 'POST' ? reply : { status: 200, body: anOrderBody() },
    );
    await buy(deps, { ...purchase, wait, json: true });
    expect(JSON.parse(terminal.written())).toEqual(document);
  });
});

describe('order', () => {
  test('asks the admin listener for an operator', async () => {
    const { deps, server } = await against(() => ({ status: 200, body: anOrderBody() }));
    expect(await order(deps, { requestId: 'req-1', operator: true })).toBe(0);
    expect(server.received[0]?.path).toBe('/operator/orders/req-1');
  });

  test('shows status, payment, timeline and the link that the gateway knows', async () => {
    const links = { self: '/orders/req-1', trace: 'http://other-ui/req-1' };
    const { deps, terminal } = await against(() => ({ status: 200, body: anOrderBody({ links }) }));
    expect(await order(deps, { requestId: 'req-1' })).toBe(0);
    for (const part of ['confirmed', 'pay-7', '10:00:01.000Z  sold', 'http://other-ui/req-1']) {
      expect(terminal.written()).toContain(part);
    }
  });

  test('exits 1 for an order that nobody has made', async () => {
    const { deps, terminal } = await against(() => aProblem(404, 'unknown-order'));
    expect(await order(deps, { requestId: 'nobody' })).toBe(1);
    expect(terminal.written()).toContain('nobody');
  });

  test('asks for the id it was given, whatever is in it', async () => {
    const { deps, server } = await against(() => aProblem(404, 'unknown-order'));
    await order(deps, { requestId: 'a/b?c' });
    expect(server.received[0]?.path).toBe('/orders/a%2Fb%3Fc');
  });

  test('never lets text from outside steer the terminal', async () => {
    const body = anOrderBody({ user_id: '\u001b[2Jgone', payment_id: 'a\u009b31m\u202ecba' });
    const { deps, terminal } = await against(() => ({ status: 200, body }));
    await order(deps, { requestId: 'req-1' });
    await order(deps, { requestId: 'req-1', json: true });
    await order(
      { ...deps, gateway: unknowing(deps.gateway) },
      { requestId: '\u001b]0;title\u0007' },
    );
    expect(terminal.written().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(terminal.written()).toContain('gone');
  });

  test('does not take another server for the gateway', async () => {
    const { deps } = await against(() => ({ status: 200, body: '<html>hello</html>' }));
    await expect(order(deps, { requestId: 'req-1' })).rejects.toThrow(
      /is not one of the flash-sale gateway/,
    );
  });

  test('does not call an order unknown that cannot be read at the moment', async () => {
    const { deps } = await against(() => aProblem(503, 'not-accepted'));
    await expect(order(deps, { requestId: 'req-1' })).rejects.toThrow(/answers 503 not-accepted/);
  });
});

describe('stock show', () => {
  test('shows units by state, the price and the window', async () => {
    const sale = { units_per_user: 2, opens_at: '2026-11-27T00:00:00.000Z' };
    const { deps, server, terminal } = await against(() => ({
      status: 200,
      body: anItemBody(sale),
    }));
    expect(await stockShow(deps, { item: '101' })).toBe(0);
    expect(server.received[0]?.path).toBe('/items/101');
    for (const part of ['90', '100', '10.00 USD', '2 units per user', '2026-11-27', 'never']) {
      expect(terminal.written()).toContain(part);
    }
  });

  test('shows who pays how', async () => {
    const checkout = { pay: 'checkout', pay_within_seconds: 600 };
    const shown = async (body: object) => {
      const { deps, terminal } = await against(() => ({ status: 200, body }));
      await stockShow(deps, { item: '101' });
      return terminal.written();
    };
    expect(await shown(anItemBody())).toMatch(/pay +│ charged by the engine/);
    expect(await shown(anItemBody(checkout))).toMatch(/pay +│ by the buyer, within 600 s/);
  });

  test('exits 1 for an unknown item, and prints null as its document', async () => {
    const { deps, terminal } = await against(() => aProblem(404, 'unknown-item'));
    expect(await stockShow(deps, { item: '999', json: true })).toBe(1);
    expect(JSON.parse(terminal.written())).toBeNull();
  });
});

function unknowing(gateway: Gateway): Gateway {
  return { ...gateway, order: () => Promise.resolve(undefined) };
}
