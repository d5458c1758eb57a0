import { startHealthServer } from '../../platform/health-server';
import { startSimulator } from '../engine/payments/running-simulator';
import { buy, openGateway, PURCHASE, until, type OpenGateway } from './open-gateway';
import { createDialer, purchaseRequest } from './raw-lines';

const { dial, hangUp } = createDialer();
let open: OpenGateway;
beforeEach(async () => {
  open = await openGateway();
});
afterEach(async () => {
  hangUp();
  await open.close();
});

/** Fails unless the headers forbid a browser to guess the type, to frame the response and to send it a form. */
function expectSecure(headers: Headers) {
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  const policy = headers.get('content-security-policy') ?? '';
  const directives = policy.split('; ');
  expect(directives).toEqual(
    expect.arrayContaining([
      "default-src 'none'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ]),
  );
}

/** The headers of what comes back for raw bytes. */
async function headersOf(text: string): Promise<Headers> {
  const line = await dial(open);
  line.socket.write(text);
  await until(() => line.received.includes('\r\n\r\n'));
  const lines = line.received.split('\r\n\r\n')[0]?.split('\r\n').slice(1) ?? [];
  return new Headers(lines.map((text) => text.split(/: (.*)/, 2) as [string, string]));
}

describe('every response has the security headers:', () => {
  test('of every route, whatever it answers', async () => {
    await buy(open);
    open.stock.force('req-1', { state: 'sold', paymentId: 'p', generation: 1, finishedAt: 5 });
    const { routes } = open.gateway;
    const served = [
      ...routes.public.map((route) => ({ ...route, base: open.url })),
      ...routes.admin.map((route) => ({ ...route, base: open.adminUrl })),
    ];
    for (const { base, path, method, parameters = [] } of served) {
      const url = parameters.reduce(
        (text, { name, example }) => text.replace(`{${name}}`, example ?? ''),
        base + path.replace('{request_id}', PURCHASE.request_id),
      );
      const response = await fetch(url, { method: method.toUpperCase() });
      await response.text();
      expectSecure(response.headers);
    }
  });

  test('of paths that do not exist', async () => {
    expectSecure((await fetch(`${open.url}/nowhere`)).headers);
  });

  test('of documents that have not changed', async () => {
    const etag = (await fetch(`${open.url}/openapi.json`)).headers.get('etag') ?? '';
    const again = await fetch(`${open.url}/openapi.json`, { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
    expectSecure(again.headers);
  });

  test.each([
    ['what is not HTTP', 'HELLO\r\n\r\n'],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n'],
    ['an unknown expectation', 'GET / HTTP/1.1\r\nhost: x\r\nexpect: miracles\r\n\r\n'],
  ])('of %s', async (_, text) => {
    expectSecure(await headersOf(text));
  });

  test('of the health servers of ingest and worker, errors included', async () => {
    const ready = () => Promise.reject(new Error('no answer'));
    const health = await startHealthServer('127.0.0.1', 0, { ready });
    const urls = ['/livez', '/readyz', '/metrics', '/nowhere'];
    const responses = await Promise.all(
      urls.map((path) => fetch(`http://127.0.0.1:${health.port}${path}`)),
    );
    await health.close();
    expect(responses.map(({ status }) => status)).toEqual([200, 500, 200, 404]);
    for (const { headers } of responses) expectSecure(headers);
  });

  test('of the payment simulator, errors included', async () => {
    const simulator = await startSimulator();
    const responses = [await fetch(`${simulator.url}/ledger`), await fetch(`${simulator.url}/x`)];
    await simulator.close();
    expect(responses.map(({ status }) => status)).toEqual([200, 404]);
    for (const { headers } of responses) expectSecure(headers);
  });

  test('of purchases that are refused because the gateway is full', async () => {
    await open.close();
    open = await openGateway({ change: () => ({ limits: { buysInFlightMax: 0 } }) });
    expectSecure(await headersOf(purchaseRequest('a')));
  });
});
