import { DEAD_LETTER_ROUTES } from '../../api/routes/operator/dead-letters';
import { REFUND_ROUTES } from '../../api/routes/operator/refunds';
import { SELLING_ROUTES } from '../../api/routes/operator/selling';
import { STOCK_ROUTES } from '../../api/routes/operator/stock';
import { USER_ROUTES } from '../../api/routes/operator/users';
import { aFailedOrder, anUnreadable } from '../cli/letters';
import { record } from '../cli/replay-world';
import { anArchivedOrder, createFakeArchive } from '../support/fake-archive';
import { openOperatorGateway, problemType, TOKENS, type OperatorGateway } from './operator-gateway';

let gateway: OperatorGateway | undefined;
const open = async () => {
  const { archive, answers } = createFakeArchive();
  answers.orders = [anArchivedOrder()];
  const opened = await openOperatorGateway({
    letters: [aFailedOrder('a'), aFailedOrder('b'), anUnreadable('bad')],
    standings: { bad: { kind: 'none' } },
    archive,
  });
  opened.answers.refund = () => Promise.resolve(GIVEN_BACK);
  gateway = opened;
  const { ask } = opened;
  return {
    ...opened,
    act: (method: string, path: string, body: object) => ask(method, path, body, TOKENS.operate),
  };
};
afterEach(async () => {
  await gateway?.close();
  gateway = undefined;
});

const why = 'a test';
const GIVEN_BACK = {
  kind: 'done',
  result: {
    refund: { kind: 'refund', id: 're_1', amountMinor: 1000, status: 'succeeded', at: 1 },
    restocked: 1,
  },
} as const;
/** A request of every route that changes something, and what its record says. */
const ACTIONS: Record<string, [string, string, object, object]> = {
  operatorPutSale: [
    'PUT',
    '/items/101',
    { price_minor: 5, why },
    {
      action: 'sale.change',
      item_id: '101',
      request: { item_id: '101', price_minor: 5 },
      before: {},
      after: { price: '5' },
    },
  ],
  operatorRestock: [
    'POST',
    '/items/101/restock',
    { units: 5, operation_id: 'op', why },
    {
      action: 'stock.restock',
      item_id: '101',
      request: { item_id: '101', units: 5, operation_id: 'op' },
      before: { free: 1, supply: 101 },
      after: { free: 6, supply: 106 },
    },
  ],
  resumeSelling: [
    'POST',
    '/selling/resume',
    { why },
    {
      action: 'selling.resume',
      item_id: null,
      request: {},
      before: { stopped: false, at: null },
      after: { stopped: false, why },
    },
  ],
  replay: [
    'POST',
    '/dead-letters/replay',
    { ids: ['a'], why },
    {
      action: 'dead-letters.replay',
      item_id: null,
      request: { ids: ['a'] },
      after: { orders: [{ request_id: 'a', outcome: 'started' }], left: 0 },
    },
  ],
  eraseUser: [
    'POST',
    '/users/erase',
    { user_id: 'a-buyer', why },
    {
      action: 'users.erase',
      request: { user_id: true },
      after: { replaced_by: 'sub-erased', orders: 2, dead_letters: 1, set_aside: 0 },
    },
  ],
  discard: [
    'POST',
    '/dead-letters/discard',
    { ids: ['b'], why },
    {
      action: 'dead-letters.discard',
      request: { ids: ['b'] },
      after: { letters: [{ outcome: 'discarded' }] },
    },
  ],
  refund: [
    'POST',
    '/orders/req-1/refund',
    { operation_id: 'op-1', restock: 1, why },
    {
      action: 'order.refund',
      request: { request_id: 'req-1', operation_id: 'op-1', restock: 1 },
      before: { refunded_minor: 0 },
      after: {
        status: 'succeeded',
        refund_id: 're_1',
        restock: { item_id: '101', operation: 'refund/order-1/op-1', units: 1 },
      },
    },
  ],
  retry: [
    'POST',
    '/orders/a/retry',
    { why },
    {
      action: 'dead-letters.replay',
      request: { request_id: 'a' },
      after: { orders: [{ outcome: 'started' }] },
    },
  ],
};

test('every route that changes something is looked at here', () => {
  const routes = [
    ...SELLING_ROUTES,
    ...STOCK_ROUTES,
    ...DEAD_LETTER_ROUTES,
    ...USER_ROUTES,
    ...REFUND_ROUTES,
  ];
  const acting = routes.filter(({ method }) => method !== 'get').map(({ id }) => id);
  // The stop does not wait for its record: test/api/selling.test.ts.
  expect(acting.sort()).toEqual([...Object.keys(ACTIONS), 'stopSelling'].sort());
});

describe.each(Object.entries(ACTIONS))('an action by %s', (_id, [method, path, body, expected]) => {
  test('is recorded before and after, with who, why and what was changed', async () => {
    const { act, actions, reported } = await open();
    const sent = await act(method, path, { ...body, by: 'ann' });
    expect(sent.status).toBe(200);
    const { action, request } = expected as Record<string, unknown>;
    const who = { by: 'otto', on_behalf_of: 'ann', role: 'operate', door: 'http', why };
    expect(actions).toMatchObject([
      { phase: 'intent', outcome: null, before: null, after: null, action, request, ...who },
      { phase: 'outcome', outcome: 'done', ...who, ...expected },
    ]);
    expect(actions[0]?.id).toBe(actions[1]?.id);
    expect(actions[0]?.credential).toMatch(/^[0-9a-f]{12}$/);
    expect(actions[0]?.http_request_id).toBe(sent.headers.get('x-request-id'));
    expect(reported).toEqual([[actions[1], undefined]]);
  });

  test('is not carried out while its intent cannot be recorded', async () => {
    const { act, answers, restocks, changes, starts, marks, refunds, selling } = await open();
    answers.acknowledged = 0;
    const sent = await act(method, path, body);
    expect([sent.status, problemType(sent)]).toEqual([503, 'dependency-unavailable']);
    expect(sent.body['detail']).toMatch(/could not be recorded.*so it was not carried out/);
    expect(JSON.stringify(sent.body)).not.toContain('kafka:9092');
    expect([restocks, changes, starts, marks, refunds]).toEqual([[], [], [], [], []]);
    expect(selling.state).toBeUndefined();
  });

  test('whose outcome Kafka does not take has its response, and is reported as not recorded', async () => {
    const { act, answers, actions, reported } = await open();
    answers.acknowledged = 1;
    expect((await act(method, path, body)).status).toBe(200);
    expect(actions).toMatchObject([{ phase: 'intent' }]);
    const lost = { phase: 'outcome', outcome: 'done', by: 'otto' };
    expect(reported).toMatchObject([[lost, { kind: 'unavailable' }]]);
  });
});

describe('the record of actions', () => {
  test('says what was refused and why', async () => {
    const { act, actions, answers } = await open();
    answers.restock = { kind: 'stale', free: 73 };
    await act('POST', '/items/101/restock', { units: 5, operation_id: 'op' });
    await act('POST', '/dead-letters/discard', { ids: ['nobody'], why });
    expect(actions.filter(({ phase }) => phase === 'outcome')).toMatchObject([
      { outcome: 'refused', detail: 'stale-stock', why: null },
      { outcome: 'refused', detail: 'unknown-dead-letter' },
    ]);
  });

  test('has nothing of requests that read, are refused at the door or are no requests', async () => {
    const { ask, act, actions } = await open();
    await ask('GET', '/items/101', undefined, TOKENS.read);
    await ask('GET', '/dead-letters', undefined, TOKENS.operate);
    await act('POST', '/dead-letters/replay', { ids: ['a'], dry_run: true });
    await ask('POST', '/orders/a/retry', { why }, TOKENS.read);
    await ask('POST', '/orders/a/retry', { why }, 'wrong');
    await act('POST', '/orders/a/retry', { why: 5 });
    expect(actions).toEqual([]);
  });

  test('has each export of orders, without the buyer whose orders they are, and no search', async () => {
    const { ask, actions, adminUrl } = await open();
    await ask('GET', '/orders?user_id=a-buyer', undefined, TOKENS.read);
    expect(actions).toEqual([]);
    const headers = { authorization: `Bearer ${TOKENS.read}`, accept: 'text/csv' };
    const path = '/operator/orders?user_id=a-buyer&item_id=101';
    expect((await fetch(adminUrl + path, { headers })).status).toBe(200);
    expect(actions).toMatchObject([
      { phase: 'intent', by: 'rita', role: 'read', action: 'orders.export' },
      { phase: 'outcome', outcome: 'done', request: { user_id: true, item_id: '101' } },
    ]);
    expect(JSON.stringify(actions)).not.toContain('a-buyer');
  });

  test('does not keep the order in a mended record, which names its buyer', async () => {
    const { act, actions } = await open();
    const mended = { ...record('bad'), user_id: 'a-buyer' };
    delete (mended as Record<string, unknown>)['fingerprint'];
    const sent = await act('POST', '/dead-letters/replay', { ids: ['bad'], mended, why });
    expect(sent.body).toMatchObject({ orders: [{ outcome: 'appended' }] });
    expect(actions).toMatchObject([{ request: { mended: true } }, { outcome: 'done' }]);
    expect(JSON.stringify(actions)).not.toContain('a-buyer');
  });
});
