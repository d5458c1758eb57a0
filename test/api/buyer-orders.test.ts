import { createServer } from 'node:http';
import { createOrderEvents } from '../../api/routes/order-events';
import { ORDER_EXAMPLE } from '../../api/routes/order-view';
import type { UserId } from '../../engine/orders/order';
import type { LedgerEntry } from '../../engine/orders/ledger';
import { signWithSecret, WITH_SECRET } from '../support/identity-provider';
import { listenOnLoopback } from '../support/loopback-server';
import { ITEM, until } from './open-gateway';
import { openOperatorGateway, TOKEN, TOKENS, type OperatorGateway } from './operator-gateway';

const UUID = '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21';
const UNKNOWN = '11111111-2222-4333-8444-555555555555';

const REUSED = JSON.stringify({
  type: '/problems/request-id-reused',
  title: 'This request_id names another purchase',
  status: 422,
  detail: 'Use a new request_id for a new purchase, and repeat a request without changes.',
  request_id: UUID,
});

/** Who asks, by what is sent as authorization. */
const CALLERS = {
  nobody: () => Promise.resolve({}),
  'another buyer': async () => ({ authorization: `Bearer ${await signWithSecret('u2')}` }),
  'the owner': async () => ({ authorization: `Bearer ${await signWithSecret('u1')}` }),
  'an operator': () => Promise.resolve({ authorization: `Bearer ${TOKEN}` }),
};
type Caller = keyof typeof CALLERS;

let open: OperatorGateway;
beforeEach(async () => {
  open = await openOperatorGateway({ jwt: WITH_SECRET });
});
afterEach(() => open.close());

async function ask(caller: Caller, method: string, path: string, body?: object) {
  const base = path.startsWith('/operator') ? open.adminUrl : open.url;
  const response = await fetch(base + path, {
    method,
    headers: {
      ...(await CALLERS[caller]()),
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  // An event stream ends by itself only with its order.
  const isStream = response.headers.get('content-type') === 'text/event-stream';
  if (isStream) await response.body?.cancel();
  return { status: response.status, body: isStream ? '' : await response.text() };
}

const purchase = (fields: object = {}) => ({
  item_id: '101',
  amount: 1,
  request_id: UUID,
  ...fields,
});
const anOrder = async () => {
  expect((await ask('the owner', 'POST', '/buy', purchase())).status).toBe(202);
};

describe('with tokens, an order of u1', () => {
  type Row = readonly [string, string, object | undefined, Readonly<Record<Caller, number>>];
  const forOwner = (owner: number, other: number) => ({
    nobody: 401,
    'another buyer': other,
    'the owner': owner,
    'an operator': 401,
  });
  const forAll = { nobody: 200, 'another buyer': 200, 'the owner': 200, 'an operator': 200 };
  const forOperators = {
    nobody: 401,
    'another buyer': 401,
    'the owner': 401,
    'an operator': 200,
  };
  const ROWS: readonly Row[] = [
    ['GET', `/orders/${UUID}`, undefined, forOwner(200, 404)],
    ['HEAD', `/orders/${UUID}`, undefined, forOwner(200, 404)],
    ['GET', `/orders/${UUID}/events`, undefined, forOwner(200, 404)],
    ['DELETE', `/orders/${UUID}`, undefined, forOwner(200, 404)],
    ['DELETE', `/orders/${UUID}?user_id=u1`, undefined, forOwner(200, 403)],
    ['POST', '/buy', purchase(), forOwner(409, 422)],
    ['POST', '/buy', purchase({ user_id: 'u1' }), forOwner(409, 403)],
    ['GET', '/items/101', undefined, forAll],
    ['GET', '/operator/items/101', undefined, forOperators],
    ['GET', `/operator/orders/${UUID}`, undefined, forOperators],
  ];

  test.each(
    ROWS.flatMap(([method, path, body, answers]) =>
      Object.entries(answers).map(([caller, status]) => ({ method, path, body, caller, status })),
    ),
  )('$method $path of $caller is $status', async ({ method, path, body, caller, status }) => {
    await anOrder();
    const before = open.stock.snapshot();
    const answer = await ask(caller as Caller, method, path, body);
    expect(answer.status).toBe(status);
    if (caller !== 'the owner') expect(open.stock.snapshot()).toBe(before);
    expect(open.publisher.records).toHaveLength(1);
  });

  test.each([
    ['GET', ''],
    ['GET', '/events'],
    ['DELETE', ''],
  ])('is answered to others exactly as an unknown one: %s %s', async (method, path) => {
    await anOrder();
    const hidden = await ask('another buyer', method, `/orders/${UUID}${path}`);
    const unknown = await ask('another buyer', method, `/orders/${UNKNOWN}${path}`);
    expect(hidden).toEqual({ status: 404, body: unknown.body.replaceAll(UNKNOWN, UUID) });
  });

  test.each<[string, Partial<LedgerEntry> | 'held' | undefined]>([
    ['held', 'held'],
    ['queued', undefined],
    ['reserved', { state: 'reserved', generation: 1 }],
    ['sold', { state: 'sold', paymentId: 'p' }],
    ['failed', { state: 'released', reason: 'payment-declined' }],
    ['cancelled', { state: 'released', reason: 'cancelled', cancelledByBuyer: true }],
  ])('that is %s has an id which gets the same 422 from everybody else', async (_, state) => {
    const taken = async (fields: object = {}) => {
      const { status, body } = await ask('another buyer', 'POST', '/buy', purchase(fields));
      return { status, body };
    };
    if (state === 'held') open.publisher.next = 'wait';
    const first = ask('the owner', 'POST', '/buy', purchase());
    if (state === 'held') await until(() => open.publisher.records.length === 1);
    else await first;
    if (typeof state === 'object') open.stock.force(UUID, state);
    const same = { status: 422, body: REUSED };
    const before = open.stock.snapshot();
    expect(await taken()).toEqual(same);
    expect(await taken({ amount: 2 })).toEqual(same);
    expect(open.stock.snapshot()).toBe(before);
    // From now on the gateway knows the item as sold out.
    await open.stock.setFree(ITEM, 0);
    expect((await taken({ request_id: UNKNOWN })).status).toBe(409);
    expect(await taken()).toEqual(same);
    open.publisher.acknowledge();
    await first;
  });
});

test('who is turned away is counted, and is no fault of the gateway', async () => {
  await ask('nobody', 'GET', `/orders/${UUID}`);
  await ask('nobody', 'GET', '/operator/items/101');
  await open.ask('POST', '/selling/stop', { why: 'x' }, TOKENS.read);
  const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
  const counted = [...metrics.matchAll(/^flash_sale_turned_away_total\{what="(.*)"\} (\d+)$/gm)];
  expect(counted.map(([, what, times]) => [what, times])).toEqual([
    ['a buyer was turned away', '1'],
    ['an operator was turned away', '1'],
    ['an operator may only read', '1'],
  ]);
  expect(metrics).not.toMatch(/^flash_sale_faults_total\{/m);
});

test('with tokens, a stream of events ends with the token that opened it', async () => {
  const report = () => undefined;
  const queued = { ...ORDER_EXAMPLE, status: 'queued' as const };
  // Two minutes are left to the stream itself.
  const events = createOrderEvents(
    {
      findOrder: () => Promise.resolve(queued),
      errors: { report },
      clients: { keyOf: () => undefined },
      report,
    },
    { pollMs: 10 },
  );
  const server = createServer((req, res) => {
    const buyer = { userId: 'u1' as UserId, validUntil: Date.now() + 300 };
    const context = { params: { request_id: UUID }, query: {}, querystring: '', req, res, buyer };
    void events.route.handle(context);
  });
  const { port, close } = await listenOnLoopback(server, { open: [] });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  expect(response.status).toBe(200);
  expect(await response.text()).not.toContain('confirmed');
  await close();
});
