import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpPaymentProvider } from '../../../engine/payments/http-provider';
import { newCharge } from './payment-provider.contract';

/** A server that gives every request the same answer, and a provider that asks it. */
async function providerAnswered(status: number, body: string) {
  const server = createServer((_, response) => response.writeHead(status).end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  servers.push(server);
  return createHttpPaymentProvider({ baseUrl, timeoutMs: 5_000 });
}
const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

const OPEN = '{"key":"k1","status":"open"}';

describe('the HTTP payment provider', () => {
  const charge = newCharge({ key: 'k1' });

  it.each([
    ['a body that is not JSON', 200, 'OK', 'cannot be read'],
    ['a body that is no object', 200, 'null', 'cannot be read'],
    ['an unknown status', 200, '{"key":"k1","status":"pending"}', 'cannot be read'],
    ['a charge, a cancel or a checkout without a page, that is open', 200, OPEN, 'cannot be read'],
    ['a capture without its payment', 200, '{"key":"k1","status":"captured"}', 'cannot be read'],
    ['a decline without its code', 200, '{"key":"k1","status":"declined"}', 'cannot be read'],
    [
      'the answer to another key',
      200,
      '{"key":"k2","status":"declined","code":"x"}',
      'cannot be read',
    ],
    ['a page of a proxy', 502, '<h1>Bad gateway</h1>', 'answered 502'],
    ['a conflict', 409, '{"type":"conflict"}', 'answered 409'],
    ['a redirect', 301, '', 'answered 301'],
  ])('throws, with the cause, on %s', async (_, status, body, message) => {
    const provider = await providerAnswered(status, body);
    const calls = [
      () => provider.charge(charge),
      () => provider.checkout(charge),
      () => provider.cancel('k1'),
      () => provider.refund('k1'),
      ...(body === OPEN ? [] : [() => provider.find('k1')]),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        message: expect.stringContaining(message) as string,
        cause: expect.anything() as unknown,
      });
    }
  });

  it('finds no charge whose amount or currency it is not told', async () => {
    const found = { key: 'k1', status: 'captured', payment_id: 'p', amount: 1000, currency: 'USD' };
    for (const missing of ['amount', 'currency']) {
      const provider = await providerAnswered(200, JSON.stringify({ ...found, [missing]: null }));
      await expect(provider.find('k1')).rejects.toThrow('cannot be read');
    }
  });

  it.each([
    '{}',
    '{"events":{}}',
    '{"events":[1]}',
    '{"events":[{"id":"1"}]}',
    '{"events":[],"next":"7"}',
    '{"events":[],"next":5}',
  ])('does not read %s as the events since 5', async (body) => {
    const provider = await providerAnswered(200, body);
    await expect(provider.listEvents(5)).rejects.toThrow('cannot be read');
  });

  it('reads an event that it does not know as one without a hint', async () => {
    const event = { id: 'e', at: 7, type: 'toString', key: 'k1', context: charge.context };
    const provider = await providerAnswered(200, JSON.stringify({ events: [event], next: 9 }));
    const events = [{ id: 'e', at: 7 }];
    await expect(provider.listEvents(5)).resolves.toEqual({ events, next: 9 });
  });

  it('believes no webhook without a secret', async () => {
    const provider = await providerAnswered(200, '{}');
    const read = provider.readWebhook(Buffer.from('{}'), () => 't=1,v1=00');
    await expect(read).rejects.toThrow('Webhooks are not configured');
  });

  it('does not take every 404 for an unseen key', async () => {
    const provider = await providerAnswered(404, '{"type":"not-found"}');
    await expect(provider.find('k1')).rejects.toThrow('answered 404');
    const page = await providerAnswered(404, '<h1>Not here</h1>');
    await expect(page.find('k1')).rejects.toThrow('cannot be read');
  });

  it('throws when no server listens', async () => {
    const provider = await providerAnswered(200, '{}');
    for (const server of servers.splice(0)) server.close();
    await expect(provider.charge(charge)).rejects.toMatchObject({
      message: 'The payment provider gave no answer to POST /charges',
      cause: expect.anything() as unknown,
    });
  });
});
