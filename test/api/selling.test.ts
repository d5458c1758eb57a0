import { parseSellingState } from '../../engine/stock/selling-switch';
import { buy, until } from './open-gateway';
import { openOperatorGateway, problemType, TOKENS, type OperatorGateway } from './operator-gateway';

let gateway: OperatorGateway;
const open = async () => {
  gateway = await openOperatorGateway();
  const { ask } = gateway;
  return {
    ...gateway,
    act: (path: string, body?: object) =>
      ask(body ? 'POST' : 'GET', `/selling${path}`, body, TOKENS.operate),
  };
};
afterEach(() => gateway.close());

const STOPPED = { stopped: true, by: 'otto', why: 'the price is wrong' };

describe('the switch of all selling', () => {
  test('refuses every purchase while it is stopped, and takes nothing for it', async () => {
    const { act, stock, publisher } = await open();
    const before = stock.snapshot();
    const stopped = await act('/stop', { why: 'the price is wrong' });
    expect([stopped.status, stopped.body]).toMatchObject([200, { ...STOPPED, recorded: true }]);
    const refused = await buy(gateway);
    expect([refused.status, problemType(refused)]).toEqual([503, 'selling-stopped']);
    const seconds = Number(refused.headers.get('retry-after'));
    expect(seconds).toBeGreaterThanOrEqual(5);
    expect(seconds).toBeLessThanOrEqual(15);
    expect(refused.body['request_id']).toBe('req-1');
    expect([stock.snapshot(), publisher.records]).toEqual([before, []]);

    expect((await act('/resume', {})).body).toMatchObject({ stopped: false, by: 'otto' });
    const sold = buy(gateway);
    publisher.acknowledge();
    expect((await sold).status).toBe(202);
  });

  test('answers a purchase that was accepted before with its order, and only that one', async () => {
    const { act, stock, publisher } = await open();
    const first = buy(gateway);
    publisher.acknowledge();
    expect((await first).status).toBe(202);
    await act('/stop', { why: 'x' });
    const before = stock.snapshot();
    const again = await buy(gateway);
    expect([again.status, problemType(again)]).toEqual([409, 'duplicate-request']);
    expect(again.body['order']).toMatchObject({ request_id: 'req-1', status: 'queued' });
    expect(again.headers.get('location')).toBe('/orders/req-1');
    for (const other of [{ amount: 2 }, { user_id: 'u2' }, { item_id: '102' }]) {
      const reused = await buy(gateway, other);
      expect([reused.status, problemType(reused)]).toEqual([422, 'request-id-reused']);
    }
    const refused = await buy(gateway, { request_id: 'req-2' });
    expect([refused.status, problemType(refused)]).toEqual([503, 'selling-stopped']);
    expect(stock.snapshot()).toEqual(before);
  });

  test('answers 503 to a purchase that is only held: nobody can say yet what comes of it', async () => {
    const { act, stock, publisher } = await open();
    publisher.next = 'wait';
    const first = buy(gateway);
    await until(() => publisher.records.length === 1);
    await act('/stop', { why: 'x' });
    const before = stock.snapshot();
    expect(problemType(await buy(gateway))).toBe('selling-stopped');
    expect(problemType(await buy(gateway, { amount: 2 }))).toBe('request-id-reused');
    expect(stock.snapshot()).toEqual(before);
    publisher.acknowledge();
    expect((await first).status).toBe(202);
  });

  test('answers 503 while nobody can say whether there is an order', async () => {
    const { act, stock, logged } = await open();
    await act('/stop', { why: 'x' });
    stock.admission.areKnown = () => Promise.reject(new Error('Redis is away'));
    expect(problemType(await buy(gateway))).toBe('selling-stopped');
    expect(JSON.stringify(logged)).toContain('no answer to whether a request is known');
  });

  test('still refuses a purchase that is none', async () => {
    const { act } = await open();
    await act('/stop', { why: 'x' });
    expect((await buy(gateway, { amount: 0 })).status).toBe(400);
  });

  test('is shown to operators with who and why, and to buyers without', async () => {
    const { act, url } = await open();
    expect((await act('')).body).toEqual({
      revision: 0,
      stopped: false,
      at: null,
      by: null,
      why: null,
    });
    const item = async () => (await fetch(`${url}/items/101`)).json();
    expect(await item()).toMatchObject({ selling_stopped: false });
    await act('/stop', { why: 'the price is wrong' });
    expect((await act('')).body).toMatchObject(STOPPED);
    expect(await item()).toMatchObject({ selling_stopped: true });
  });

  test('stops without its record in Kafka, says so, and reports the record', async () => {
    const { act, answers, reported, selling } = await open();
    answers.acknowledged = 0;
    const stopped = await act('/stop', { why: 'the price is wrong' });
    expect([stopped.status, stopped.body]).toMatchObject([200, { ...STOPPED, recorded: false }]);
    expect(selling.state).toMatchObject(STOPPED);
    const record = { action: 'selling.stop', by: 'otto', outcome: 'done', after: STOPPED };
    expect(reported).toMatchObject([[record, { kind: 'unavailable' }]]);
  });

  test('records a stop with the state before it', async () => {
    const { act, actions } = await open();
    await act('/stop', { why: 'first' });
    await act('/stop', { why: 'second' });
    expect(actions).toMatchObject([
      { phase: 'outcome', outcome: 'done', before: { stopped: false }, after: { revision: 1 } },
      { outcome: 'done', before: { revision: 1 }, after: { revision: 2 }, role: 'operate' },
    ]);
  });

  test('records changes that a gateway can read again, also one without a reason', async () => {
    const { act, actions } = await open();
    await act('/stop', { why: 'x' });
    await act('/resume', {});
    const states = actions
      .filter(({ outcome }) => outcome === 'done')
      .map(({ after }) => parseSellingState(after));
    expect(states).toMatchObject([{ stopped: true }, { stopped: false, why: '' }]);
  });

  test('answers 503 while Redis is away, and records that nobody knows', async () => {
    const { act, actions, selling } = await open();
    selling.isAway = true;
    const stopped = await act('/stop', { why: 'x' });
    expect([stopped.status, problemType(stopped)]).toEqual([503, 'dependency-unavailable']);
    expect(actions).toMatchObject([{ action: 'selling.stop', outcome: 'unknown' }]);
    expect((await act('')).status).toBe(503);
  });

  test('needs a reason to stop', async () => {
    const { act, selling } = await open();
    expect((await act('/stop', {})).body).toMatchObject({ errors: [{ path: '/why' }] });
    expect(selling.state).toBeUndefined();
  });
});
