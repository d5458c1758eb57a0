import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHttpClient } from '../../client/http-client';

describe('the time for a reply', () => {
  let close = () => Promise.resolve();
  afterEach(() => close());

  async function serverThat(respond: Parameters<typeof createServer>[1]) {
    const server = createServer(respond ?? (() => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = createHttpClient(
      `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
      { replyMsMax: 150, socketsMax: 1 },
    );
    close = () =>
      new Promise((resolve) => {
        client.close();
        server.closeAllConnections();
        server.close(() => {
          resolve();
        });
      });
    return client;
  }

  test('ends also while the reply trickles', async () => {
    const client = await serverThat((_, response) => {
      const trickle = setInterval(() => response.write('.'), 20);
      response.once('close', () => {
        clearInterval(trickle);
      });
    });
    await expect(client.send('GET', '/')).rejects.toThrow('no reply within 150 ms');
  });

  test('includes the wait for a connection', async () => {
    const client = await serverThat(() => undefined);
    const startedAt = performance.now();
    const both = await Promise.allSettled([client.send('GET', '/'), client.send('GET', '/')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(performance.now() - startedAt).toBeLessThan(280);
  });
});
