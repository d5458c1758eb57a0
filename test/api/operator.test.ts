import { aFailedOrder, anUnreadable, at, marked } from '../cli/letters';
import { record } from '../cli/replay-world';
import { until } from './open-gateway';
import { openOperatorGateway, problemType as type, type OperatorGateway } from './operator-gateway';

let gateway: OperatorGateway;
const open = async (...args: Parameters<typeof openOperatorGateway>) => {
  gateway = await openOperatorGateway(...args);
  return gateway;
};
afterEach(() => gateway.close());

const WHO = { by: 'ann', why: 'renewed' };
/** As it is recorded: the credential's name, and for whom it says to act. */
const RECORDED = { by: 'operator for ann', why: 'renewed' };

describe('the items of operators', () => {
  test('are read as buyers read them, and unknown ones are a problem', async () => {
    const { ask } = await open();
    expect(await ask('GET', '/items/101')).toMatchObject({ status: 200, body: { free: 3 } });
    expect(type(await ask('GET', '/items/nothing'))).toBe('unknown-item');
    expect(type(await ask('GET', '/items/%7Bx%7D'))).toBe('unknown-item');
  });

  test('are changed in what the body names: null unsets, and what is absent stays', async () => {
    const { ask, changes } = await open();
    const sale = { price_minor: 5, currency: 'EUR', opens_at: '2026-11-24', closes_at: null };
    expect((await ask('PUT', '/items/101', { ...sale, by: 'ann' })).status).toBe(200);
    const opensAt = Date.UTC(2026, 10, 24);
    expect(changes).toEqual([{ priceMinor: 5, currency: 'EUR', opensAt, closesAt: null }]);
    for (const pay of [
      { pay: 'checkout', pay_within_seconds: 600 },
      { pay: 'charge', pay_within_seconds: null },
      { pay: 'charge' },
      { pay: null },
    ]) {
      expect((await ask('PUT', '/items/101', { ...pay, by: 'ann' })).status).toBe(200);
    }
    expect(changes.slice(1)).toEqual([
      { payWithinMs: 600_000 },
      { payWithinMs: null },
      { payWithinMs: null },
      { payWithinMs: null },
    ]);
    const nothing = await ask('PUT', '/items/101', { by: 'ann' });
    expect([nothing.status, type(nothing)]).toEqual([400, 'invalid-request']);
  });

  test('carry their free units as an ETag, which a restock may be bound to', async () => {
    const { ask, restocks, answers } = await open();
    const tag = (await ask('GET', '/items/101')).headers.get('etag') ?? '';
    expect(tag).toBe('"3"');
    const body = { free: 100, operation_id: 'op', by: 'ann' };
    const restock = (ifMatch: string) =>
      ask('POST', '/items/101/restock', body, undefined, { 'if-match': ifMatch });
    expect((await restock(tag)).status).toBe(200);
    expect((await restock('*')).status).toBe(200);
    expect(restocks.map(({ expectedFree }) => expectedFree)).toEqual([3, undefined]);
    answers.restock = { kind: 'stale', free: 73 };
    const stale = await restock('"100"');
    expect([stale.status, type(stale)]).toEqual([412, 'stale-stock']);
    expect(stale.body).toMatchObject({ free: 73, expected: 100 });
    answers.change = { kind: 'stale', free: 73 };
    const sale = { price_minor: 5, by: 'ann' };
    const changed = await ask('PUT', '/items/101', sale, undefined, { 'if-match': '"100"' });
    expect([changed.status, changed.body]).toMatchObject([412, { free: 73, expected: 100 }]);
    for (const wrong of ['100', 'W/"100"', '"1", "2"', '"abc"']) {
      expect([wrong, (await restock(wrong)).status]).toEqual([wrong, 400]);
    }
  });

  test.each([
    [{ kind: 'unknown-item' }, 404, 'unknown-item'],
    [{ kind: 'window', opensAt: 2, closesAt: 1 }, 400, 'invalid-request'],
    [{ kind: 'units-owned', users: 3, most: 4 }, 409, 'units-owned'],
    [{ kind: 'unreadable', detail: 'x' }, 409, 'unreadable-stock'],
  ] as const)('refuse a sale that the ledger answers with %p', async (change, status, problem) => {
    const { ask, answers } = await open();
    answers.change = change;
    const answer = await ask('PUT', '/items/101', { units_per_user: 1, by: 'ann' });
    expect([answer.status, type(answer)]).toEqual([status, problem]);
  });

  test('are restocked under an operation', async () => {
    const { ask, restocks } = await open();
    const body = { operation_id: 'op', by: 'ann' };
    const answer = await ask('POST', '/items/101/restock', { ...body, units: 5 });
    expect([answer.status, answer.body]).toEqual([
      200,
      {
        item_id: '101',
        operation_id: 'op',
        free_before: 1,
        free: 6,
        supply_before: 101,
        supply: 106,
        new_item: false,
        done_before: false,
      },
    ]);
    await ask('POST', '/items/101/restock', { ...body, free: 0 });
    expect(restocks.map(({ units }) => units)).toEqual([{ add: 5 }, { free: 0 }]);
  });

  test.each([
    [{ kind: 'operation-reused' }, 422, 'operation-reused'],
    [{ kind: 'too-many' }, 400, 'invalid-request'],
    [{ kind: 'unreadable', detail: 'x' }, 409, 'unreadable-stock'],
  ] as const)('refuse a restock that is answered with %p', async (restock, status, problem) => {
    const { ask, answers } = await open();
    answers.restock = restock;
    const body = { units: 1, operation_id: 'op', by: 'ann' };
    const answer = await ask('POST', '/items/101/restock', body);
    expect([answer.status, type(answer)]).toEqual([status, problem]);
  });
});

describe('the dead letters of operators', () => {
  const letters = [
    aFailedOrder('a', { at: at(1) }),
    aFailedOrder('b', { at: at(2), reason: 'sold-out' }),
    marked(aFailedOrder('gone', { at: at(3) }), 'discarded'),
    anUnreadable('bad', { at: at(4) }),
  ];

  test('are listed by filter, the newest of them up to the limit', async () => {
    const { ask } = await open({ letters });
    const ids = async (query: string) => {
      const { body } = await ask('GET', `/dead-letters${query}`);
      return (body['letters'] as { request_id: string }[]).map((one) => one.request_id);
    };
    expect(await ids('')).toEqual(['a', 'b', 'bad']);
    expect(await ids('?all=true')).toEqual(['a', 'b', 'gone', 'bad']);
    expect(await ids('?reason=sold-out')).toEqual(['b']);
    expect(await ids('?since=2026-11-24T10:00:02Z&limit=1')).toEqual(['bad']);
    expect(await ids('?item_id=nothing')).toEqual([]);
    expect((await ask('GET', '/dead-letters?limit=1')).body['total']).toBe(3);
  });

  test('are listed page by page, the newest first', async () => {
    const { ask } = await open({ letters });
    const first = await ask('GET', '/dead-letters?limit=2&since=2026-11-24');
    expect(first.body).toMatchObject({
      total: 3,
      letters: [{ request_id: 'b' }, { request_id: 'bad' }],
      warnings: [],
    });
    const next = String(first.body['next']);
    expect(next).toContain('since=2026-11-24');
    const second = await ask('GET', next.replace('/operator', ''));
    expect(second.body).toMatchObject({ total: 3, letters: [{ request_id: 'a' }], next: null });
    expect((await ask('GET', '/dead-letters?cursor=any')).status).toBe(400);
  });

  test('come with what may be missing of them', async () => {
    const warnings = ['Old dead letters may be missing.'];
    const { ask } = await open({ letters, warnings });
    for (const path of ['', '/stats', '/a']) {
      expect((await ask('GET', `/dead-letters${path}`)).body).toMatchObject({ warnings });
    }
    const replayed = await ask('POST', '/dead-letters/replay', { ids: ['a'], ...WHO });
    expect(replayed.body).toMatchObject({ warnings });
    const unknown = await ask('GET', '/dead-letters/nobody');
    expect(unknown.body['detail']).toContain(warnings[0]);
  });

  test('are counted, and shown with their bytes', async () => {
    const { ask } = await open({ letters });
    const stats = await ask('GET', '/dead-letters/stats?item_id=101');
    expect(stats.body).toMatchObject({ total: 3, by_item: [{ item_id: '101', count: 3 }] });
    const shown = await ask('GET', '/dead-letters/a%3Aa-run');
    expect(shown.body).toMatchObject({
      letters: [{ request_id: 'a', value: expect.stringContaining('"request_id":"a"') as string }],
    });
    expect(type(await ask('GET', '/dead-letters/nobody'))).toBe('unknown-dead-letter');
  });

  test('are replayed by id or filter, up to max per call, which reports how many are left', async () => {
    const { ask, starts, marks } = await open({ letters });
    const first = await ask('POST', '/dead-letters/replay', { max: 1, ...WHO });
    expect(first.body).toMatchObject({
      orders: [
        { request_id: 'a', outcome: 'started', run_id: 'run-2' },
        { request_id: 'bad', outcome: 'needs-mending' },
      ],
      left: 1,
    });
    await ask('POST', '/dead-letters/replay', { ids: ['b'], ...WHO });
    expect(starts).toEqual(['a', 'b']);
    expect(marks).toMatchObject([{ letterId: 'a:a-run', kind: 'replayed', ...RECORDED }, {}]);
  });

  test('that were sold since are skipped and reported', async () => {
    const { ask, starts } = await open({ letters, standings: { a: { kind: 'sold' } } });
    const expected = { outcome: 'sold', detail: 'it has been sold since: nothing was done' };
    const many = await ask('POST', '/dead-letters/replay', { ids: ['a'], ...WHO });
    expect(many).toMatchObject({ status: 200, body: { orders: [expected] } });
    expect(await ask('POST', '/orders/a/retry', WHO)).toMatchObject({
      status: 200,
      body: expected,
    });
    expect(starts).toEqual([]);
  });

  test('are only read by a dry run, which needs no name', async () => {
    const { ask, starts, marks } = await open({ letters });
    const answer = await ask('POST', '/dead-letters/replay', { ids: ['a'], dry_run: true });
    expect(answer.body).toMatchObject({ orders: [{ outcome: 'would-start' }] });
    expect([starts, marks]).toEqual([[], []]);
  });

  test('take a mended record, which passes the checks of a record in the log', async () => {
    const standings = { bad: { kind: 'none' } } as const;
    const { ask, appended } = await open({ letters, standings });
    const mend = (mended: unknown) =>
      ask('POST', '/dead-letters/replay', { ids: ['bad'], mended, ...WHO });
    const wrong = await mend({ ...record('bad'), amount: 0 });
    expect([wrong.status, wrong.body['detail']]).toEqual([
      400,
      expect.stringMatching(/The mended record is no order: \/amount/) as string,
    ]);
    expect(appended).toEqual([]);
    const answer = await mend({ ...record('bad'), fingerprint: undefined });
    expect(answer.body).toMatchObject({ orders: [{ outcome: 'appended' }] });
    expect(appended).toMatchObject([{ key: 'bad', headers: RECORDED }]);
  });

  test('are retried one by one, with a problem for an order that cannot be retried', async () => {
    const { ask, starts } = await open({ letters, standings: { b: { kind: 'cancelled' } } });
    const done = await ask('POST', '/orders/a/retry', WHO);
    expect(done).toMatchObject({ status: 200, body: { outcome: 'started', run_id: 'run-2' } });
    const refused = {
      b: [409, 'not-replayable'],
      bad: [409, 'not-replayable'],
      gone: [409, 'dealt-with'],
      nobody: [404, 'unknown-dead-letter'],
      '%7B': [404, 'unknown-order'],
    };
    for (const [id, expected] of Object.entries(refused)) {
      const answer = await ask('POST', `/orders/${id}/retry`, WHO);
      expect([id, answer.status, type(answer)]).toEqual([id, ...expected]);
    }
    expect(starts).toEqual(['a']);
  });

  test('are discarded with a name and a reason, all or none of them', async () => {
    const { ask, marks } = await open({ letters });
    const unknown = await ask('POST', '/dead-letters/discard', { ids: ['a', 'nobody'], ...WHO });
    expect([type(unknown), marks]).toEqual(['unknown-dead-letter', []]);
    const answer = await ask('POST', '/dead-letters/discard', { ids: ['a', 'gone'], ...WHO });
    expect(answer.body).toMatchObject({
      letters: [{ outcome: 'discarded' }, { outcome: 'dealt-with-before' }],
    });
    expect(marks).toMatchObject([{ letterId: 'a:a-run', kind: 'discarded', ...RECORDED }]);
  });

  test('are unavailable while Kafka is away, without showing its address; other routes work', async () => {
    const { ask, url } = await open({ letters, kafkaIsAway: true });
    const answer = await ask('GET', '/dead-letters');
    expect([answer.status, type(answer)]).toEqual([503, 'dependency-unavailable']);
    expect(answer.headers.get('retry-after')).toMatch(/^\d$/);
    expect(JSON.stringify(answer.body)).not.toContain('kafka:9092');
    expect((await fetch(`${url}/items/101`)).status).toBe(200);
  });

  test('are read one at a time; above a bound of waiting requests the response is 429', async () => {
    const { ask, answers } = await open({ letters });
    let release = () => {};
    answers.reading = new Promise((resolve) => {
      release = () => {
        resolve(undefined);
      };
    });
    const statuses: number[] = [];
    const asked = Array.from({ length: 8 }, async () => {
      statuses.push((await ask('GET', '/dead-letters')).status);
    });
    await until(() => statuses.length === 3);
    expect(statuses).toEqual([429, 429, 429]);
    release();
    await Promise.all(asked);
    expect(statuses.slice(3)).toEqual([200, 200, 200, 200, 200]);
  });
});
