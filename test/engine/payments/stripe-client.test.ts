import { createServer, type Socket } from 'node:net';
import { connectStripe, wasAnswered } from '../../../engine/payments/stripe/stripe-client';
import { eventually } from '../../support/eventually';
import { listenOnLoopback } from '../../support/loopback-server';
import { startStripeDouble } from './stripe-double';

/** A server that sends this at once, and then a byte every 20 ms for ever. */
async function aDrippingServer(begin: string) {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
    socket.once('data', () => {
      socket.write(begin);
      const drip = setInterval(() => socket.write('a'), 20);
      socket.on('close', () => {
        clearInterval(drip);
      });
    });
  });
  return { open, ...(await listenOnLoopback(server, { open })) };
}

describe('a request to Stripe', () => {
  it.each([
    ['headers', 'HTTP/1.1 200 OK\r\nx-a: '],
    ['a body', 'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n'],
    ['a refusal', 'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 100000\r\n\r\n'],
  ])(
    'ends in time although %s never cease to come',
    async (_, begin) => {
      const server = await aDrippingServer(begin);
      const apiUrl = `http://127.0.0.1:${server.port}`;
      const stripe = connectStripe({ secretKey: 'sk_test_1', timeoutMs: 300, apiUrl });
      const startedAt = Date.now();
      const error = await stripe.paymentIntents.retrieve('pi_1').catch((reason: unknown) => reason);
      expect(error).toMatchObject({ type: 'StripeConnectionError' });
      expect(wasAnswered(error)).toBe(false);
      expect(Date.now() - startedAt).toBeLessThan(3_000);
      // Headers end by themselves: Node takes 16 KiB.
      const hasBody = begin.endsWith('\r\n\r\n');
      if (hasBody) await eventually('its connection is closed', () => server.open.size === 0);
      await server.close();
    },
    10_000,
  );

  it('is sent again after half a minute, however long a refusal says to wait', async () => {
    const double = await startStripeDouble();
    const stripe = connectStripe({ secretKey: 'sk_test_1', apiUrl: double.url });
    const ask = () => stripe.refunds.list().then(() => 'answered');
    double.limitTo(0, '86400');
    await expect(ask()).rejects.toThrow();
    double.limitTo(Infinity);
    await expect(ask()).rejects.toThrow('Stripe');
    const later = Date.now() + 31_000;
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => later);
    await expect(ask()).resolves.toBe('answered');
    clock.mockRestore();
    await double.close();
  });

  it.each([
    ['http://stripe.example', '80'],
    ['https://stripe.example', '443'],
  ])('goes to the port of its protocol: %s', (apiUrl, port) => {
    const stripe = connectStripe({ secretKey: 'sk_test_1', apiUrl }) as unknown as {
      getApiField: (name: string) => unknown;
    };
    expect(String(stripe.getApiField('port'))).toBe(port);
  });
});
