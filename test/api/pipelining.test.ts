import { createHttpServer, listen, closeHttpServer } from '../../api/http/server';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { openGateway, until, type OpenGateway } from './open-gateway';
import { createDialer, PURCHASE_HEAD, purchaseRequest, statusesIn } from './raw-lines';

const { dial, hangUp } = createDialer();
afterEach(hangUp);

const KIB = 1024;
const post = (bytes: number, head = `content-length: ${bytes}`) =>
  `POST /buy HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n${'x'.repeat(bytes)}`;
const closed = 'a connection was closed: too many requests without an answer';

/** A server that answers nothing by itself. */
const openSilent = async (bounds: Parameters<typeof createHttpServer>[2] = {}) => {
  const served: { req: IncomingMessage; res: ServerResponse }[] = [];
  const sockets: Socket[] = [];
  const reports: string[] = [];
  const server = createHttpServer(
    (req, res) => served.push({ req, res }),
    { report: (what) => reports.push(what) },
    bounds,
  );
  server.on('connection', (socket) => sockets.push(socket));
  let broken = 0;
  const countBroken = () => (broken += 1);
  server.on('clientError', countBroken).on('connect', countBroken);
  const port = await listen(server, '127.0.0.1', 0);
  return {
    port,
    served,
    sockets,
    reports,
    broken: () => broken,
    close: () => closeHttpServer(server, 0),
  };
};
let silent: Awaited<ReturnType<typeof openSilent>>;
afterEach(() => silent.close());

describe('what comes behind a request that is not answered yet', () => {
  test('is read once, and the rest only when its turn has come', async () => {
    silent = await openSilent();
    const line = await dial(silent);
    line.socket.write(post(0));
    await until(() => silent.served.length === 1);
    for (let i = 0; i < 7; i++) {
      line.socket.write(post(15 * KIB));
      // Others are served meanwhile, so what was written has come.
      const other = await dial(silent);
      other.socket.write(post(0));
      await until(() => silent.served.length === 2 + i);
    }
    expect(silent.sockets[0]?.bytesRead).toBeLessThan(65 * KIB);
    const ofLine = () => silent.served.filter(({ req }) => req.socket === silent.sockets[0]);
    for (let i = 0; i < 8; i++) {
      await until(() => ofLine().length === i + 1);
      const { req, res } = ofLine()[i] ?? {};
      req?.resume().once('end', () => res?.end());
    }
    await until(() => statusesIn(line.received).length === 8);
  });

  test('is not kept for more connections than the bound', async () => {
    silent = await openSilent({ waitingConnectionsMax: 1 });
    const [first, second] = [await dial(silent), await dial(silent, '127.0.0.2')];
    first.socket.write(post(0) + post(0));
    await until(() => silent.served.length === 1);
    second.socket.write(post(0) + post(0));
    await until(() => second.closed);
    expect(silent.reports).toEqual([closed]);
    // One at a time, the requests of the first are answered, and another connection may send ahead.
    silent.served[0]?.res.end();
    await until(() => silent.served.length === 3);
    silent.served[2]?.res.end();
    await until(() => statusesIn(first.received).length === 2);
    const third = await dial(silent, '127.0.0.3');
    third.socket.write(post(0) + post(0));
    await until(() => silent.served.length === 4);
    silent.served[3]?.res.end();
    await until(() => silent.served.length === 5);
  });

  test.each([
    ['in pieces of unknown number', 'transfer-encoding: chunked'],
    ['that is too large', `content-length: ${16 * KIB + 1}`],
  ])('is not kept with a body %s', async (_, head) => {
    silent = await openSilent();
    const line = await dial(silent);
    line.socket.write(post(0) + post(0, head));
    await until(() => line.closed);
    expect(silent.reports).toEqual([closed]);
  });
});

describe('a request in hand is answered first, and then', () => {
  const answered = async (behind: string, { isEnd = false } = {}) => {
    silent = await openSilent({ headersMsMax: 200 });
    const line = await dial(silent);
    line.socket.write(post(0));
    await until(() => silent.served.length === 1);
    if (isEnd) line.socket.end(behind);
    else line.socket.write(behind);
    await until(() => silent.broken() > 0);
    silent.served[0]?.res.end('done');
    await until(() => line.closed);
    expect(line.received.indexOf('done')).toBeLessThan(line.received.indexOf('/problems/'));
    return statusesIn(line.received);
  };

  test.each([
    ['what is not HTTP', '400', 'NOT HTTP\r\n\r\n'],
    ['headers that are too large', '431', `GET / HTTP/1.1\r\nx: ${'a'.repeat(9_000)}\r\n\r\n`],
    ['more than is read of them', '431', `GET / HTTP/1.1\r\nx: ${'a'.repeat(500_000)}\r\n\r\n`],
    ['a body without a length', '400', `${PURCHASE_HEAD}content-length: 2, 3\r\n\r\n{}`],
    ['headers that do not come', '408', 'POST /buy HTTP/1.1\r\nhost: x\r\n'],
    ['a tunnel', '400', 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n'],
  ])('%s gets its response', async (_, status, behind) => {
    expect(await answered(behind)).toEqual(['200', status]);
  });

  test('a request that its client ends half-way', async () => {
    expect(await answered('POST /buy HTTP/1.1\r\nhost', { isEnd: true })).toEqual(['200', '400']);
  });
});

describe('of the purchases on a connection', () => {
  let open: OpenGateway;
  beforeEach(async () => {
    open = await openGateway();
  });
  afterEach(() => open.close());

  test('those before something broken are carried out and answered, and none behind it', async () => {
    const line = await dial(open);
    const requests = [purchaseRequest('a'), purchaseRequest('b'), 'NOT HTTP\r\n\r\n'];
    line.socket.write([...requests, purchaseRequest('c')].join(''));
    await until(() => line.closed);
    expect(statusesIn(line.received)).toEqual(['202', '202', '400']);
    expect(open.publisher.records.map(({ key }) => key)).toEqual(['a', 'b']);
  });

  test('the one whose body breaks is not carried out', async () => {
    open.publisher.next = 'wait';
    const line = await dial(open);
    const broken = `${PURCHASE_HEAD}content-length: 200\r\n\r\n{`;
    line.socket.end(purchaseRequest('a') + broken);
    await until(() => open.publisher.records.length === 1);
    open.publisher.acknowledge();
    await until(() => line.closed);
    expect(statusesIn(line.received)).toEqual(['202', '400']);
    expect(open.publisher.records.map(({ key }) => key)).toEqual(['a']);
  });
});
