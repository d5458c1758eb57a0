import { request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { openGateway, PURCHASE, reply, until, type OpenGateway, type Reply } from './open-gateway';

let open: OpenGateway;
let before: string;

beforeEach(async () => {
  open = await openGateway({ change: () => ({ limits: { bodyDeadlineMs: 100 } }) });
  before = open.stock.snapshot();
});

afterEach(async () => {
  // Whatever was wrong with the request, it must not have left anything behind.
  expect(open.stock.snapshot()).toBe(before);
  expect(open.appender.records).toHaveLength(0);
  expect(open.logged.filter(({ msg }) => msg === 'a bug')).toEqual([]);
  await open.close();
});

const JSON_TYPE = { 'content-type': 'application/json' };

async function post(
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = JSON_TYPE,
): Promise<Reply> {
  return reply(await fetch(`${open.url}/buy`, { method: 'POST', headers, body }));
}

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

const purchase = (fields: object) => JSON.stringify({ ...PURCHASE, ...fields });

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
    await expectInvalid(post(body), '');
  });

  test('a body that is not UTF-8', async () => {
    await expectInvalid(
      post(Uint8Array.from(Buffer.from(purchase({ user_id: 'é' }), 'latin1'))),
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
      const { body } = await expectInvalid(post(purchase({ [field]: undefined })), `/${field}`);
      expect(body['request_id']).toBe('req-1');
    },
  );

  test('a missing request_id', async () => {
    const { body } = await expectInvalid(post(purchase({ request_id: undefined })), '/request_id');
    expect(body).not.toHaveProperty('request_id');
  });

  test('every field that is wrong, each once', async () => {
    await expectInvalid(post('{}'), '/user_id', '/item_id', '/amount', '/request_id');
  });

  test.each([0, -1, 1.5, 1001, 1e308, '1', null, true, [1], { a: 1 }])(
    'the amount %j',
    async (amount) => {
      await expectInvalid(post(purchase({ amount })), '/amount');
    },
  );

  test('an amount beyond every number', async () => {
    await expectInvalid(post(purchase({}).replace('"amount":1', '"amount":1e999')), '/amount');
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
    const { body } = await expectInvalid(post(purchase({ request_id: id })), '/request_id');
    expect(body).not.toHaveProperty('request_id');
  });

  test.each(['user_id', 'item_id'])('braces and white space in %s', async (field) => {
    for (const id of ['{101}', '101 ', '1\t1', '101\n']) {
      await expectInvalid(post(purchase({ [field]: id })), `/${field}`);
    }
  });

  test('unknown fields', async () => {
    await expectInvalid(post(purchase({ price: 1 })), '/price');
    await expectInvalid(post(purchase({ Amount: 1 })), '/Amount');
  });

  test('attempts to reach the prototype', async () => {
    const own = purchase({}).slice(1, -1);
    await expectInvalid(post(`{${own},"__proto__":{"amount":5}}`), '/__proto__');
    await expectInvalid(post(`{${own},"constructor":{"prototype":{}}}`), '/constructor');
    const inherited = post(`{"__proto__":{${own}}}`);
    const { status, body } = await inherited;
    expect(status).toBe(400);
    expect(body).not.toHaveProperty('request_id');
  });

  test('a field nested deeply', async () => {
    const deep = '['.repeat(7_000) + ']'.repeat(7_000);
    await expectInvalid(post(purchase({}).replace('"amount":1', `"amount":${deep}`)), '/amount');
  });

  test('a thousand faults, of which it names twenty', async () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`f${i}`, 1]));
    const { status, body } = await post(JSON.stringify(many));
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
    const { status, body } = await post(purchase({}), { 'content-type': type });
    expect(status).toBe(415);
    expect(body['type']).toBe('/problems/unsupported-media-type');
  });

  test('of a body that names none', async () => {
    const answer = await raw(`POST /buy HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}`);
    expect(answer).toContain(' 415 ');
  });

  test('of a compressed body', async () => {
    const { status } = await post(purchase({}), { ...JSON_TYPE, 'content-encoding': 'gzip' });
    expect(status).toBe(415);
  });

  test.each([
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
    'application/json; x=1',
  ])('but not %s', async (type) => {
    const { status } = await post('{}', { 'content-type': type });
    expect(status).toBe(400);
  });
});

/** Sends bytes and reads to the end of the connection. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = '';
    const socket: Socket = connect(open.port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8').on('error', reject);
    socket.on('data', (chunk: string) => {
      received += chunk;
      if (received.includes('}')) socket.end();
    });
    socket.on('close', () => {
      resolve(received);
    });
  });
}

describe('POST /buy refuses a large body', () => {
  const TEN_MEGABYTES = 10 * 1024 * 1024;

  /** Sends 10 MB as fast as they are taken; answers with the status and how much was taken. */
  const flood = (headers: Record<string, string | number>) =>
    new Promise<{
      status: number;
      connection: string | undefined;
      written: number;
      problem: string;
    }>((resolve, reject) => {
      const sender = httpRequest(`${open.url}/buy`, {
        method: 'POST',
        headers: { ...JSON_TYPE, ...headers },
      });
      const chunk = Buffer.alloc(64 * 1024, ' ');
      let sent = 0;
      const pump = () => {
        while (sent < TEN_MEGABYTES) {
          sent += chunk.length;
          if (!sender.write(chunk)) {
            sender.once('drain', pump);
            return;
          }
        }
        sender.end();
      };
      sender.on('error', reject);
      sender.on('response', (response) => {
        response.setEncoding('utf8').once('data', (problem: string) => {
          const { connection } = response.headers;
          const written = sender.socket?.bytesWritten ?? 0;
          sender
            .off('error', reject)
            .on('error', () => undefined)
            .destroy();
          resolve({ status: response.statusCode ?? 0, connection, written, problem });
        });
      });
      pump();
    });

  test.each([
    ['that says so', { 'content-length': TEN_MEGABYTES }],
    ['that comes in chunks', { 'transfer-encoding': 'chunked' }],
  ])('%s, without reading it', async (_, headers) => {
    const { status, connection, written, problem } = await flood(headers);
    expect(status).toBe(413);
    expect(connection).toBe('close');
    expect(JSON.parse(problem)).toMatchObject({ type: '/problems/too-large' });
    // A quarter of a megabyte is thrown away, the rest is what the kernels buffer between the two.
    expect(written).toBeLessThan(TEN_MEGABYTES / 1.5);
  });

  test('of one byte too many, and takes one that just fits', async () => {
    const fitting = purchase({}).padEnd(16 * 1024, ' ');
    expect((await post(`${fitting} `)).status).toBe(413);
    expect((await post(fitting.replace('req-1', '{req}'))).status).toBe(400);
  });

  test('on other paths as well', async () => {
    const body = 'x'.repeat(1024 * 1024);
    const response = await fetch(`${open.url}/nowhere`, { method: 'POST', body });
    expect(response.status).toBe(404);
    expect(response.headers.get('connection')).toBe('close');
  });
});

describe('POST /buy does not wait for ever', () => {
  const head = `POST /buy HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n`;

  test('for a body that stops arriving', async () => {
    const answer = await raw(`${head}{"user_id":`);
    expect(answer).toContain('HTTP/1.1 408 ');
    expect(answer).toContain('/problems/request-timeout');
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  test('for a client that has left', async () => {
    const socket = connect(open.port, '127.0.0.1', () => socket.write(`${head}{`));
    await until(() => socket.bytesWritten > 0);
    socket.destroy();
    const { status } = await post('{}');
    expect(status).toBe(400);
  });
});

describe('the gateway answers with a problem', () => {
  test('what is not HTTP', async () => {
    const answer = await raw('HELLO\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400 Bad Request');
    expect(answer).toContain('/problems/invalid-request');
  });

  test('headers without end', async () => {
    const answer = await raw(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect(answer).toContain('HTTP/1.1 413 ');
    expect(answer).toContain('/problems/too-large');
  });

  test('a target that is no URL', async () => {
    const answer = await raw('GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400 ');
  });

  test.each([
    '/',
    '/buy/',
    '/orders',
    '/items/',
    '/problems/none',
    '/orders/%zz/x',
    '//',
    '/buy/1',
  ])('the unknown path %s', async (path) => {
    const { status, body } = await reply(await fetch(open.url + path));
    expect(status).toBe(404);
    expect(body['type']).toBe('/problems/not-found');
  });

  test.each([
    ['GET', '/buy', 'POST'],
    ['DELETE', '/buy', 'POST'],
    ['POST', '/items/101', 'HEAD, GET'],
    ['DELETE', '/orders/req-1', 'HEAD, GET'],
  ])('the wrong method %s %s', async (method, path, allow) => {
    const { status, headers, body } = await reply(await fetch(open.url + path, { method }));
    expect(status).toBe(405);
    expect(headers.get('allow')).toBe(allow);
    expect(body['type']).toBe('/problems/method-not-allowed');
  });
});
