import { reply, type Reply } from './open-gateway';
import { JSON_TYPE, openRefusing, post, purchase, sendRaw, type Refusing } from './raw-requests';

let open: Refusing;
beforeEach(async () => {
  open = await openRefusing();
});
afterEach(() => open.closeUntouched());

async function expectInvalid(answer: Promise<Reply>, ...paths: string[]): Promise<Reply> {
  const { status, headers, body } = await answer;
  expect(status).toBe(400);
  expect(headers.get('content-type')).toBe('application/problem+json');
  expect(body).toMatchObject({ type: '/problems/invalid-request', status: 400 });
  const errors = body['errors'] as { path: string; message: string }[];
  expect(errors.map(({ path }) => path)).toEqual(paths);
  for (const { message } of errors) expect(message).toMatch(/^(must|is) /);
  return answer;
}

describe('a gateway with a pattern of user_ids', () => {
  beforeEach(async () => {
    await open.close();
    open = await openRefusing({ userIdPattern: /^(?:u-[0-9]+)$/u });
  });

  test('finds every other user_id invalid, beside all else', async () => {
    const { body } = await expectInvalid(post(open, purchase({ user_id: 'ann' })), '/user_id');
    expect(body['errors']).toEqual([{ path: '/user_id', message: 'must match ^(?:u-[0-9]+)$' }]);
    await expectInvalid(post(open, purchase({ user_id: 'ann', amount: 0 })), '/user_id', '/amount');
    await expectInvalid(post(open, purchase({ user_id: 'u-'.padEnd(129, '1') })), '/user_id');
  });
});

describe('POST /buy finds invalid', () => {
  test.each([
    ['nothing', ''],
    ['malformed JSON', '{"user_id":'],
    ['text after the JSON', `${purchase({})}}`],
    ['a byte order mark', `\uFEFF${purchase({})}`],
    ['null', 'null'],
    ['a number', '42'],
    ['a string', '"buy"'],
    ['an array', `[${purchase({})}]`],
    ['an empty array', '[]'],
    ['sixteen thousand open brackets', '['.repeat(16_000)],
    ['a field that comes twice', `{"amount":900,${purchase({}).slice(1)}`],
  ])('a body that is %s', async (_, body) => {
    await expectInvalid(post(open, body), '');
  });

  test('a body that is not UTF-8', async () => {
    await expectInvalid(
      post(open, Uint8Array.from(Buffer.from(purchase({ user_id: 'é' }), 'latin1'))),
      '',
    );
  });

  test('a body that is missing altogether, also without a type', async () => {
    const response = await fetch(`${open.url}/buy`, { method: 'POST' });
    await expectInvalid(reply(response), '');
  });

  test.each(['user_id', 'item_id', 'amount'])(
    'a missing %s, and still names the request',
    async (field) => {
      const { body } = await expectInvalid(
        post(open, purchase({ [field]: undefined })),
        `/${field}`,
      );
      expect(body['request_id']).toBe('req-1');
    },
  );

  test('a missing request_id', async () => {
    const { body } = await expectInvalid(
      post(open, purchase({ request_id: undefined })),
      '/request_id',
    );
    expect(body).not.toHaveProperty('request_id');
  });

  test('every field that is wrong, each once', async () => {
    await expectInvalid(post(open, '{}'), '/user_id', '/item_id', '/amount', '/request_id');
  });

  test.each([0, -1, 1.5, 1001, 1e308, '1', null, true, [1], { a: 1 }])(
    'the amount %j',
    async (amount) => {
      await expectInvalid(post(open, purchase({ amount })), '/amount');
    },
  );

  test('an amount beyond every number', async () => {
    await expectInvalid(
      post(open, purchase({}).replace('"amount":1', '"amount":1e999')),
      '/amount',
    );
  });

  test.each([
    '',
    ' req',
    'a b',
    'a\n',
    'a\u0000',
    '{a}',
    'a}b',
    '../etc',
    'a/b',
    'a|b',
    'ä',
    '-a',
    'a'.repeat(129),
    'a'.repeat(9_000),
    7,
    null,
    ['a'],
  ])('the request_id %j, which it does not echo', async (id) => {
    const { body } = await expectInvalid(post(open, purchase({ request_id: id })), '/request_id');
    expect(body).not.toHaveProperty('request_id');
  });

  test.each(['user_id', 'item_id'])('braces and white space in %s', async (field) => {
    for (const id of ['{101}', '101 ', '1\t1', '101\n']) {
      await expectInvalid(post(open, purchase({ [field]: id })), `/${field}`);
    }
  });

  test('unknown fields', async () => {
    await expectInvalid(post(open, purchase({ price: 1 })), '/price');
    await expectInvalid(post(open, purchase({ Amount: 1 })), '/Amount');
  });

  test.each([
    1,
    'pm_1',
    null,
    [],
    {},
    { payment_method: '4242 4242 4242 4242' },
    { payment_method: '' },
    { payment_method: 'pm_1', customer: 7 },
    { payment_method: 'pm_1', number: '4242' },
  ])('the payment %j', async (payment) => {
    await expectInvalid(post(open, purchase({ payment })), '/payment');
  });

  test('a payment that names its method twice', async () => {
    const twice = '{"payment_method":"pm_1","payment_method":"pm_2"}';
    const own = purchase({}).slice(1, -1);
    await expectInvalid(post(open, `{${own},"payment":${twice}}`), '');
  });

  test('attempts to reach the prototype', async () => {
    const own = purchase({}).slice(1, -1);
    await expectInvalid(post(open, `{${own},"__proto__":{"amount":5}}`), '/__proto__');
    await expectInvalid(post(open, `{${own},"constructor":{"prototype":{}}}`), '/constructor');
    const inherited = post(open, `{"__proto__":{${own}}}`);
    const { status, body } = await inherited;
    expect(status).toBe(400);
    expect(body).not.toHaveProperty('request_id');
  });

  test('a field nested deeply', async () => {
    const deep = '['.repeat(7_000) + ']'.repeat(7_000);
    await expectInvalid(
      post(open, purchase({}).replace('"amount":1', `"amount":${deep}`)),
      '/amount',
    );
  });

  test('a thousand faults, of which it names twenty', async () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, 1]));
    const { status, body } = await post(open, JSON.stringify(many));
    expect(status).toBe(400);
    expect(body['errors']).toHaveLength(20);
  });
});

describe('POST /buy refuses the media type', () => {
  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/json; charset=latin1',
    'application/json;charset="utf-16"',
    'multipart/form-data; boundary=x',
  ])('%s', async (type) => {
    const { status, body } = await post(open, purchase({}), { 'content-type': type });
    expect(status).toBe(415);
    expect(body['type']).toBe('/problems/unsupported-media-type');
  });

  test('of a body that names none', async () => {
    const answer = await sendRaw(
      open,
      `POST /buy HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`,
    );
    expect(answer).toContain(' 415 ');
  });

  test('of a compressed body', async () => {
    const { status } = await post(open, purchase({}), { ...JSON_TYPE, 'content-encoding': 'gzip' });
    expect(status).toBe(415);
  });

  test.each([
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
    'application/json; x=1',
  ])('but not %s', async (type) => {
    const { status } = await post(open, '{}', { 'content-type': type });
    expect(status).toBe(400);
  });
});
