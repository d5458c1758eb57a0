import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { reply, until } from './open-gateway';
import { JSON_TYPE, openRefusing, post, purchase, sendRaw, type Refusing } from './raw-requests';

let open: Refusing;
beforeEach(async () => {
  open = await openRefusing();
});
afterEach(() => open.closeUntouched());

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
    expect((await post(open, `${fitting} `)).status).toBe(413);
    expect((await post(open, fitting.replace('req-1', '{req}'))).status).toBe(400);
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
    const answer = await sendRaw(open, `${head}{"user_id":`);
    expect(answer).toContain('HTTP/1.1 408 ');
    expect(answer).toContain('/problems/request-timeout');
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  test('for a client that has left', async () => {
    const socket = connect(open.port, '127.0.0.1', () => socket.write(`${head}{`));
    await until(() => socket.bytesWritten > 0);
    socket.destroy();
    const { status } = await post(open, '{}');
    expect(status).toBe(400);
  });
});

describe('the gateway answers with a problem', () => {
  test('what is not HTTP', async () => {
    const answer = await sendRaw(open, 'HELLO\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400 Bad Request');
    expect(answer).toContain('/problems/invalid-request');
  });

  test('headers without end', async () => {
    const answer = await sendRaw(
      open,
      `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
    );
    expect(answer).toContain('HTTP/1.1 431 Request Header Fields Too Large');
    expect(answer).toContain('/problems/headers-too-large');
  });

  test.each([
    ['two Host headers', 'host: x\r\nHOST: y\r\n'],
    ['no Host header', ''],
  ])('%s', async (_, hosts) => {
    const answer = await sendRaw(open, `GET /livez HTTP/1.1\r\n${hosts}\r\n`);
    expect(answer).toContain('HTTP/1.1 400 Bad Request');
    expect(answer).toContain('/problems/invalid-request');
    expect(answer).toContain('connection: close');
  });

  test.each(['content-length: 2', 'transfer-encoding: chunked'])(
    'a read with a body, that nobody would take out of memory: %s',
    async (header) => {
      const answer = await sendRaw(open, `GET /items/101 HTTP/1.1\r\nhost: x\r\n${header}\r\n\r\n`);
      expect(answer).toContain('HTTP/1.1 400 Bad Request');
      expect(answer).toContain('/problems/invalid-request');
      expect(answer).toContain('connection: close');
    },
  );

  test('a tunnel', async () => {
    const answer = await sendRaw(open, 'CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400 Bad Request');
    expect(answer).toContain('/problems/invalid-request');
  });

  test('a target that is no URL', async () => {
    const answer = await sendRaw(open, 'GET http://[ HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(answer).toContain('HTTP/1.1 400 ');
  });

  test.each(['/', '/buy/', '/order', '/items/', '/problems/none', '/orders/%zz/x', '//', '/buy/1'])(
    'the unknown path %s',
    async (path) => {
      const { status, body } = await reply(await fetch(open.url + path));
      expect(status).toBe(404);
      expect(body['type']).toBe('/problems/not-found');
    },
  );

  test.each([
    ['GET', '/buy', 'POST'],
    ['DELETE', '/buy', 'POST'],
    ['POST', '/items/101', 'HEAD, GET'],
    ['PUT', '/orders/req-1', 'HEAD, GET, DELETE'],
  ])('the wrong method %s %s', async (method, path, allow) => {
    const { status, headers, body } = await reply(await fetch(open.url + path, { method }));
    expect(status).toBe(405);
    expect(headers.get('allow')).toBe(allow);
    expect(body['type']).toBe('/problems/method-not-allowed');
  });
});
