import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import Stripe from 'stripe';
import type { Webhook } from './payment-events.contract';
import { until } from './running-simulator';

const SECRET = 'whsec_of_a_test';

/** Receives webhooks on a free port, or on one that another receiver had, and answers them all with `status`. */
export async function startReceiver({ port = 0, status = 200 } = {}) {
  const received: Webhook[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const signature = String(request.headers['webhook-signature']);
      received.push({ body, headers: { 'webhook-signature': signature } });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  const ofKey = (key: string) =>
    received.filter(({ body }) => (JSON.parse(body.toString()) as { key: string }).key === key);
  return {
    port: bound,
    webhooks: { url: `http://127.0.0.1:${bound}/webhooks/payments`, secret: SECRET },
    received: () => received,
    webhooksOf: async (key: string, count: number) => {
      await until(() => Promise.resolve(ofKey(key).length >= count));
      return ofKey(key);
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A webhook that was signed so many seconds ago. */
export function sign(body: string, { secret = SECRET, ageSeconds = 0 } = {}): Webhook {
  const timestamp = Math.floor(Date.now() / 1000) - ageSeconds;
  const signature = Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp });
  return { body: Buffer.from(body), headers: { 'webhook-signature': signature } };
}
