import { BlockList } from 'node:net';
import { buy, openGateway, PURCHASE, reply, until, type OpenGateway } from './open-gateway';
import { createDialer, purchaseRequest } from './raw-lines';

const { dial, hangUp } = createDialer();
let open: OpenGateway;
afterEach(async () => {
  hangUp();
  await open.close();
});

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const LOOPBACK = new BlockList();
LOOPBACK.addAddress('127.0.0.1');

/** The X-Request-Id of what comes back for raw bytes. */
async function idOf(text: string): Promise<string | undefined> {
  const line = await dial(open);
  line.socket.write(text);
  await until(() => line.received.includes('\r\n\r\n'));
  return /\r\nx-request-id: ([^\r]*)\r\n/.exec(line.received)?.[1];
}

describe('the X-Request-Id', () => {
  test('is on every response, and is another one for every request', async () => {
    open = await openGateway();
    const ids: (string | null | undefined)[] = [];
    // A repeated request is the same purchase, and another HTTP request.
    for (let i = 0; i < 2; i++) ids.push((await buy(open)).headers.get('x-request-id'));
    for (const path of ['/orders/req-1', '/orders/req-1/events', '/livez', '/nowhere', '/docs']) {
      const response = await fetch(open.url + path);
      ids.push(response.headers.get('x-request-id'));
      await response.body?.cancel();
    }
    ids.push(await idOf('HELLO\r\n\r\n'));
    ids.push(await idOf('GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n'));
    for (const id of ids) expect(id).toMatch(UUID);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('is on responses of a full gateway', async () => {
    open = await openGateway({ change: () => ({ limits: { buysInFlightMax: 0 } }) });
    expect(await idOf(purchaseRequest('a'))).toMatch(UUID);
  });

  test('is a trusted proxy’s where that has given one, if it can stand in a log', async () => {
    open = await openGateway({ change: () => ({ trustedProxies: LOOPBACK }) });
    const ask = async (id: string) =>
      (await fetch(`${open.url}/livez`, { headers: { 'x-request-id': id } })).headers.get(
        'x-request-id',
      );
    expect(await ask('edge-7/3')).toBe('edge-7/3');
    expect(await ask('with space')).toMatch(UUID);
    expect(await ask('a'.repeat(129))).toMatch(UUID);
  });

  test('is not believed from anybody else', async () => {
    open = await openGateway();
    const headers = { 'x-request-id': 'made-up' };
    const response = await fetch(`${open.url}/livez`, { headers });
    expect(response.headers.get('x-request-id')).toMatch(UUID);
  });

  test('names in the log the purchase that met a fault', async () => {
    open = await openGateway();
    open.publisher.next = new Error('no answer');
    const { headers, status } = await buy(open);
    expect(status).toBe(503);
    expect(open.logged).toContainEqual(
      expect.objectContaining({
        msg: 'an order was handed over and not acknowledged',
        requestId: PURCHASE.request_id,
        httpRequestId: headers.get('x-request-id'),
      }),
    );
  });

  test('names in the log the read that met a fault', async () => {
    open = await openGateway({
      change: ({ stock: { ledger } }) => ({
        ledger: { ...ledger, findOrder: () => Promise.reject(new Error('away')) },
      }),
    });
    const { headers } = await reply(await fetch(`${open.url}/orders/req-1`));
    expect(open.logged).toContainEqual(
      expect.objectContaining({
        msg: 'a reader got no answer',
        httpRequestId: headers.get('x-request-id'),
      }),
    );
  });
});

describe('the access log', () => {
  const requests = () => open.logged.filter(({ msg }) => msg === 'request');

  test('has one line for each request, without what its query says', async () => {
    open = await openGateway({ change: () => ({ accessLog: true, trustedProxies: LOOPBACK }) });
    const headers = { 'x-forwarded-for': '192.0.2.1' };
    const response = await fetch(`${open.url}/orders/none?user_id=u1`, {
      method: 'DELETE',
      headers,
    });
    await response.text();
    await until(() => requests().length === 1);
    expect(requests()).toEqual([
      expect.objectContaining({
        level: 30,
        httpRequestId: response.headers.get('x-request-id'),
        address: '192.0.2.1',
        method: 'DELETE',
        path: '/orders/none',
        status: 404,
        ms: expect.any(Number) as number,
      }),
    ]);
    expect(JSON.stringify(open.logged)).not.toContain('u1');
  });

  test('says which clients left before their answer', async () => {
    open = await openGateway({ change: () => ({ accessLog: true }) });
    open.publisher.next = 'wait';
    const line = await dial(open);
    line.socket.write(purchaseRequest('a'));
    await until(() => open.publisher.records.length === 1);
    line.socket.destroy();
    await until(() => requests().length === 1);
    expect(requests()).toEqual([expect.objectContaining({ path: '/buy', aborted: true })]);
    expect(requests()[0]).not.toHaveProperty('status');
  });

  test('has the refusals of a full gateway', async () => {
    open = await openGateway({
      change: () => ({ accessLog: true, limits: { buysInFlightMax: 0 } }),
    });
    await buy(open);
    await until(() => requests().length === 1);
    expect(requests()).toEqual([expect.objectContaining({ path: '/buy', status: 503 })]);
  });

  test('is off by default', async () => {
    open = await openGateway();
    await buy(open);
    await open.close();
    expect(requests()).toEqual([]);
  });
});
