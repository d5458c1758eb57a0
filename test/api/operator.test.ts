import { OPERATOR_ROUTES } from '../../api/docs/operator-routes';
import { REPLAY_STARTS_MAX } from '../../api/operator/requests';
import { aFailedOrder, anUnreadable, at, marked } from '../cli/letters';
import { record } from '../cli/replay-world';
import { openGateway, reply, until } from './open-gateway';
import { openOperatorWorld, TOKEN, type OperatorWorld } from './operator-world';

let world: OperatorWorld;
const open = async (...args: Parameters<typeof openOperatorWorld>) => {
  world = await openOperatorWorld(...args);
  return world;
};
afterEach(() => world.close());

const WHO = { by: 'ann', why: 'renewed' };
const type = (answer: { body: Record<string, unknown> }) =>
  String(answer.body['type']).replace('/problems/', '');
const ROUTES = OPERATOR_ROUTES.map(({ method, path }) => [
  method.toUpperCase(),
  path.replace('/operator', '').replace(/\{\w+\}/, '101'),
]);

describe('the token of an operator', () => {
  test.each(ROUTES)('is asked for on %s %s before anything is looked at', async (method, path) => {
    const { ask, logged, restocks } = await open();
    const body = method === 'GET' ? undefined : '{not json';
    const answers = [
      await ask(method, path, body, ''),
      await ask(method, path, body, 'wrong-token-of-length'),
      await ask(method, path, body, `${TOKEN}x`),
    ];
    for (const answer of answers) {
      expect([answer.status, type(answer)]).toEqual([401, 'unauthorized']);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
    }
    expect(restocks).toEqual([]);
    expect(JSON.stringify(logged)).toContain('an operator was turned away');
    expect(JSON.stringify(logged)).not.toMatch(/wrong-token-of-length|a-token-of-some-length/);
  });

  test.each(ROUTES)('opens nothing where the gateway has none: %s %s', async (method, path) => {
    await open();
    const closed = await openGateway();
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await reply(await fetch(`${closed.url}/operator${path}`, { method, headers }));
    await closed.close();
    expect([answer.status, type(answer)]).toEqual([404, 'operator-disabled']);
  });

  test('may be written as the scheme allows, and only there', async () => {
    const { url, ask } = await open();
    const items = `${url}/operator/items/101`;
    for (const authorization of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`]) {
      expect((await fetch(items, { headers: { authorization } })).status).toBe(200);
    }
    for (const authorization of [TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN} x`, 'Bearer']) {
      expect((await fetch(items, { headers: { authorization } })).status).toBe(401);
    }
    expect((await ask('GET', `/items/101?token=${TOKEN}`, undefined, '')).status).toBe(401);
  });
});

describe('the items of operators', () => {
  test('are read as everybody reads them, and unknown ones are named', async () => {
    const { ask } = await open();
    expect(await ask('GET', '/items/101')).toMatchObject({ status: 200, body: { free: 3 } });
    expect(type(await ask('GET', '/items/nothing'))).toBe('unknown-item');
    expect(type(await ask('GET', '/items/%7Bx%7D'))).toBe('unknown-item');
  });

  test('are sold as the whole body says: what is absent or null is removed', async () => {
    const { ask, changes } = await open();
    const sale = { price_minor: 5, currency: 'EUR', opens_at: '2026-11-24', closes_at: null };
    expect((await ask('PUT', '/items/101', { ...sale, by: 'ann' })).status).toBe(200);
    expect(changes).toEqual([
      {
        ...{ priceMinor: 5, currency: 'EUR', unitsPerUser: null },
        ...{ opensAt: Date.UTC(2026, 10, 24), closesAt: null },
      },
    ]);
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
        ...{ item_id: '101', operation_id: 'op', free_before: 1, free: 6 },
        ...{ new_item: false, done_before: false },
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

  test('are replayed by id or filter, up to the most of one call, which says what is left', async () => {
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
    expect(marks).toMatchObject([{ letterId: 'a:a-run', kind: 'replayed', ...WHO }, {}]);
  });

  test('that were sold since are left alone, and that is said', async () => {
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

  test('are only looked at by a dry run, which needs no name', async () => {
    const { ask, starts, marks } = await open({ letters });
    const answer = await ask('POST', '/dead-letters/replay', { ids: ['a'], dry_run: true });
    expect(answer.body).toMatchObject({ orders: [{ outcome: 'would-start' }] });
    expect([starts, marks]).toEqual([[], []]);
  });

  test('take a mended record, checked as a record of the log is', async () => {
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
    expect(appended).toMatchObject([{ key: 'bad', headers: WHO }]);
  });

  test('are retried one by one, and what cannot be is a problem', async () => {
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

  test('are discarded with a name and a reason, all or none', async () => {
    const { ask, marks } = await open({ letters });
    const unknown = await ask('POST', '/dead-letters/discard', { ids: ['a', 'nobody'], ...WHO });
    expect([type(unknown), marks]).toEqual(['unknown-dead-letter', []]);
    const answer = await ask('POST', '/dead-letters/discard', { ids: ['a', 'gone'], ...WHO });
    expect(answer.body).toMatchObject({
      letters: [{ outcome: 'discarded' }, { outcome: 'dealt-with-before' }],
    });
    expect(marks).toMatchObject([{ letterId: 'a:a-run', kind: 'discarded', ...WHO }]);
  });

  test('say that Kafka is away, without its address, and leave the door open', async () => {
    const { ask, url } = await open({ letters, kafkaIsAway: true });
    const answer = await ask('GET', '/dead-letters');
    expect([answer.status, type(answer)]).toEqual([503, 'dependency-unavailable']);
    expect(answer.headers.get('retry-after')).toMatch(/^\d$/);
    expect(JSON.stringify(answer.body)).not.toContain('kafka:9092');
    expect((await fetch(`${url}/items/101`)).status).toBe(200);
  });

  test('are read one at a time, and who comes behind too many is told to come back', async () => {
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

describe('bad input', () => {
  const restock = { units: 5, operation_id: 'op', by: 'ann' };
  const replay = { ids: ['a'], ...WHO };
  test.each([
    ['PUT', '/items/101', {}, ['/by']],
    ['PUT', '/items/101', { by: 'ann', price: 1 }, ['/price']],
    ['PUT', '/items/101', { by: 'ann', price_minor: 0 }, ['/price_minor']],
    ['PUT', '/items/101', { by: 'ann', price_minor: 1.5 }, ['/price_minor']],
    ['PUT', '/items/101', { by: 'ann', price_minor: '10' }, ['/price_minor']],
    ['PUT', '/items/101', { by: 'ann', currency: 'XYZ' }, ['/currency']],
    ['PUT', '/items/101', { by: 'ann', currency: 5 }, ['/currency']],
    ['PUT', '/items/101', { by: 'ann', units_per_user: 0 }, ['/units_per_user']],
    ['PUT', '/items/101', { by: 'ann', opens_at: 'tomorrow' }, ['/opens_at']],
    ['PUT', '/items/101', { by: 'ann', closes_at: '2026-02-31' }, ['/closes_at']],
    ['PUT', '/items/101', { by: 'a\nb' }, ['/by']],
    ['POST', '/items/101/restock', { ...restock, units: -5 }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: 0.5 }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: '5' }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: 0 }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: undefined, free: -1 }, ['/free']],
    ['POST', '/items/101/restock', { ...restock, free: 5 }, ['']],
    ['POST', '/items/101/restock', { ...restock, units: undefined }, ['']],
    ['POST', '/items/101/restock', { units: 5 }, ['/operation_id', '/by']],
    ['POST', '/items/101/restock', { ...restock, operation_id: 'a b' }, ['/operation_id']],
    ['POST', '/items/101/restock', [], ['']],
    ['GET', '/dead-letters?limit=0', undefined, ['/limit']],
    ['GET', '/dead-letters?limit=201', undefined, ['/limit']],
    ['GET', '/dead-letters?reason=luck', undefined, ['/reason']],
    ['GET', '/dead-letters?since=yesterday', undefined, ['/since']],
    ['GET', '/dead-letters?all=yes', undefined, ['/all']],
    ['GET', '/dead-letters?colour=red', undefined, ['/colour']],
    ['GET', '/dead-letters?item_id=1&item_id=2', undefined, ['/item_id']],
    ['GET', '/dead-letters/stats?limit=5', undefined, ['/limit']],
    ['POST', '/dead-letters/replay', { ids: ['a'] }, ['/by', '/why']],
    ['POST', '/dead-letters/replay', { ...replay, why: ' ' }, ['/why']],
    ['POST', '/dead-letters/replay', { ...replay, why: 'x'.repeat(501) }, ['/why']],
    ['POST', '/dead-letters/replay', { ...replay, ids: [] }, ['/ids']],
    ['POST', '/dead-letters/replay', { ...replay, ids: 'a' }, ['/ids']],
    ['POST', '/dead-letters/replay', { ...replay, ids: [1] }, ['/ids/0']],
    ['POST', '/dead-letters/replay', { ...replay, max: REPLAY_STARTS_MAX + 1 }, ['/max']],
    ['POST', '/dead-letters/replay', { ...replay, rate: 0 }, ['/rate']],
    ['POST', '/dead-letters/replay', { ...replay, dry_run: 'yes' }, ['/dry_run']],
    ['POST', '/dead-letters/replay', { ...WHO, mended: {} }, ['/mended']],
    ['POST', '/dead-letters/replay', { ...replay, mended: 'x' }, ['/mended']],
    ['POST', '/dead-letters/discard', { ids: ['a'], by: 'ann' }, ['/why']],
    ['POST', '/dead-letters/discard', { ...WHO }, ['/ids']],
    ['POST', '/orders/a/retry', { by: 'ann' }, ['/why']],
    ['POST', '/orders/a/retry', { ...WHO, max: 1 }, ['/max']],
    ['POST', '/orders/a/retry', 'not json', ['']],
    ['POST', '/orders/a/retry', 'null', ['']],
    ['POST', '/orders/a/retry', '', ['']],
  ])(
    '%s %s with %j is refused by field, and nothing is done',
    async (method, path, body, paths) => {
      const { ask, restocks, changes, starts, marks } = await open({
        letters: [aFailedOrder('a')],
      });
      const answer = await ask(method, path, body);
      expect([answer.status, type(answer)]).toEqual([400, 'invalid-request']);
      const errors = answer.body['errors'] as { path: string; message: string }[];
      expect(errors.map((error) => error.path)).toEqual(paths);
      for (const { message } of errors) expect(message).toMatch(/^(must|is|takes)/);
      expect([restocks, changes, starts, marks]).toEqual([[], [], [], []]);
    },
  );

  test('a time that ends before it begins, an unknown id, and one that is dealt with', async () => {
    const { ask, starts } = await open({ letters: [marked(aFailedOrder('gone'), 'discarded')] });
    const window = await ask('GET', '/dead-letters?since=2026-11-25&until=2026-11-24');
    expect([window.status, window.body['detail']]).toEqual([
      400,
      expect.stringContaining('since is later than until') as string,
    ]);
    const replay = (id: string) => ask('POST', '/dead-letters/replay', { ids: [id], ...WHO });
    expect(type(await replay('nobody'))).toBe('unknown-dead-letter');
    const gone = await replay('gone');
    expect([type(gone), gone.body['detail']]).toEqual([
      'dealt-with',
      expect.stringContaining('the buyer has gone') as string,
    ]);
    expect(starts).toEqual([]);
  });

  test('a body that is too large, or of another type', async () => {
    const { ask, url } = await open();
    const large = await ask('POST', '/dead-letters/replay', { ...WHO, why: 'x'.repeat(20_000) });
    expect([large.status, type(large)]).toEqual([413, 'too-large']);
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'text/plain' };
    const body = '{}';
    const text = await fetch(`${url}/operator/orders/a/retry`, { method: 'POST', headers, body });
    expect(text.status).toBe(415);
    expect((await ask('DELETE', '/items/101')).status).toBe(405);
  });
});
