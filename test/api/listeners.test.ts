import type { Route } from '../../api/routes/route';
import { signWithSecret, WITH_SECRET } from '../support/identity-provider';
import { buy, openGateway, PURCHASE, reply, until } from './open-gateway';
import { openOperatorGateway, TOKEN, type OperatorGateway } from './operator-gateway';
import { createDialer, purchaseRequest } from './raw-lines';

const TRACE = { uiUrl: 'http://temporal-ui.test', namespace: 'sales' };
const TRACE_LINK = 'http://temporal-ui.test/namespaces/sales/workflows/req-1';
const OPERATOR = { authorization: `Bearer ${TOKEN}` };

const { dial, hangUp } = createDialer();
let open: OperatorGateway;
beforeEach(async () => {
  open = await openOperatorGateway({ trace: TRACE });
});
afterEach(async () => {
  hangUp();
  await open.close();
});

/** The routes of one listener that the other one does not have. */
function onlyOf(own: readonly Route[], others: readonly Route[]): readonly Route[] {
  const taken = new Set(others.map(({ path }) => path));
  return own.filter(({ path }) => !taken.has(path));
}

async function send(base: string, { method, path }: Pick<Route, 'method' | 'path'>) {
  const url = base + path.replace('{item_id}', '101').replace(/\{\w+\}/, 'req-1');
  const response = await fetch(url, { method: method.toUpperCase(), headers: OPERATOR });
  return { status: response.status, text: await response.text() };
}

describe('the public listener', () => {
  test('has no route of operators and no metrics: each is the plain 404, whatever is sent', async () => {
    const { public: own, admin } = open.gateway.routes;
    const foreign = onlyOf(admin, own);
    expect(foreign.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/metrics', '/operator/selling', '/operator/orders/{request_id}']),
    );
    const plain = await send(open.url, { method: 'get', path: '/no-such-path' });
    expect(plain).toEqual({
      status: 404,
      text: expect.stringContaining('"/problems/not-found"') as string,
    });
    for (const route of foreign) {
      expect([route.path, await send(open.url, route)]).toEqual([route.path, plain]);
    }
  });

  test('never tells where the Temporal Web UI is', async () => {
    const accepted = await buy(open);
    expect(accepted.status).toBe(202);
    const told = [accepted, await buy(open), await reply(await fetch(`${open.url}/orders/req-1`))];
    open.stock.force('req-1', { state: 'sold', paymentId: 'p', generation: 1, finishedAt: 5 });
    // The stream ends, because the order has.
    const events = await (await fetch(`${open.url}/orders/req-1/events`)).text();
    expect(events).toContain('confirmed');
    const cancelled = await fetch(`${open.url}/orders/req-1?user_id=u1`, { method: 'DELETE' });
    const texts = [...told.map(({ body }) => JSON.stringify(body)), events, await cancelled.text()];
    for (const text of texts) {
      expect(text).toContain('req-1');
      expect(text).not.toContain('temporal-ui.test');
    }
  });
});

describe('the admin listener', () => {
  test('has no route of buyers', async () => {
    const { public: own, admin } = open.gateway.routes;
    const foreign = onlyOf(own, admin);
    expect(foreign.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/buy', '/orders/{request_id}']),
    );
    for (const route of foreign) {
      const { status, text } = await send(open.adminUrl, route);
      expect([route.path, status, text]).toEqual([
        route.path,
        404,
        expect.stringContaining('"/problems/not-found"') as string,
      ]);
    }
    expect(open.publisher.records).toEqual([]);
  });

  test('shows operators any order, with its workflow in the Temporal Web UI', async () => {
    await buy(open);
    const { body } = await open.ask('GET', '/orders/req-1');
    expect(body).toMatchObject({ user_id: 'u1', status: 'queued' });
    expect(body['links']).toEqual({ self: '/operator/orders/req-1', trace: TRACE_LINK });
    expect((await open.ask('GET', '/orders/no-such')).body['type']).toBe('/problems/unknown-order');
    expect((await open.ask('GET', '/orders/%7Bx%7D')).status).toBe(404);
    expect((await open.ask('GET', '/orders/req-1', undefined, '')).status).toBe(401);
  });

  test('shows operators the orders of buyers with tokens, who see only their own', async () => {
    const secured = await openOperatorGateway({ jwt: WITH_SECRET });
    const requestId = '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21';
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${await signWithSecret('u1')}`,
    };
    const body = JSON.stringify({ ...PURCHASE, request_id: requestId });
    await fetch(`${secured.url}/buy`, { method: 'POST', headers, body });
    const seen = await secured.ask('GET', `/orders/${requestId}`);
    await secured.close();
    expect(seen).toMatchObject({
      status: 200,
      body: { user_id: 'u1', links: { self: `/operator/orders/${requestId}` } },
    });
    expect(seen.body['links']).not.toHaveProperty('trace');
  });
});

test.each(['/livez', '/readyz', '/problems/sold-out', '/openapi.json', '/docs'])(
  'both listeners have %s',
  async (path) => {
    expect((await fetch(open.url + path)).status).toBe(200);
    expect((await fetch(open.adminUrl + path)).status).toBe(200);
  },
);

test('probes are answered while the public listener takes no more connections', async () => {
  const full = await openGateway({
    bounds: { connectionsMax: 1, connectionsShedFrom: 9 },
    change: () => ({ limits: { appendDeadlineMs: 60_000 } }),
  });
  full.publisher.next = 'wait';
  const held = await dial(full);
  held.socket.write(purchaseRequest('held'));
  // From now on the connection is not idle, so that it makes no room.
  await until(() => full.publisher.records.length === 1);
  const dropped = await dial(full);
  await until(() => dropped.closed);
  for (const path of ['/livez', '/readyz', '/metrics']) {
    expect([path, (await fetch(full.adminUrl + path)).status]).toEqual([path, 200]);
  }
  expect(held.closed).toBe(false);
  hangUp();
  await full.close();
});
