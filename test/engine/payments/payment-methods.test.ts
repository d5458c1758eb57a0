import { inspect } from 'node:util';
import { createServer, type RequestListener } from 'node:http';
import { createPaymentMethods } from '../../../engine/payments/payment-methods';
import { listenOnLoopback } from '../../support/loopback-server';
import { newCharge } from './payment-provider.contract';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function aShop(answer: RequestListener) {
  const asked: { url: string | undefined; authorization: string | undefined }[] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url, authorization: request.headers.authorization });
    answer(request, response);
  });
  const { port, close } = await listenOnLoopback(server, { open: [] });
  closing.push(async () => {
    server.closeAllConnections();
    await close();
  });
  const url = `http://127.0.0.1:${port}/cards?shop=7`;
  return { asked, methodOf: createPaymentMethods({ url, token: 'hidden' }) };
}

const charge = newCharge({ context: { requestId: 'r 1', itemId: '101', userId: 'u&1' } });

describe('what a buyer pays with', () => {
  test('is what the purchase names; the shop is not asked', async () => {
    const { methodOf, asked } = await aShop((_, response) => response.writeHead(500).end());
    const payment = { method: 'pm_1', customer: 'cus_1' };
    await expect(methodOf({ ...charge, payment })).resolves.toEqual(payment);
    expect(asked).toEqual([]);
  });

  test('is what the shop answers, which is told of whom and of what', async () => {
    const { methodOf, asked } = await aShop((_, response) =>
      response.end('{"payment_method":"pm_1","customer":"cus_1","brand":"visa"}'),
    );
    await expect(methodOf(charge)).resolves.toEqual({ method: 'pm_1', customer: 'cus_1' });
    const url = '/cards?shop=7&user_id=u%261&item_id=101&request_id=r+1';
    expect(asked).toEqual([{ url, authorization: 'Bearer hidden' }]);
  });

  test('is nothing where the shop knows of none, or where there is no shop to ask', async () => {
    const { methodOf } = await aShop((_, response) => response.end('{"payment_method":null}'));
    await expect(methodOf(charge)).resolves.toBeUndefined();
    await expect(createPaymentMethods(undefined)(charge)).resolves.toBeUndefined();
  });

  test.each<[string, RequestListener]>([
    ['an error', (_, response) => response.writeHead(500).end('{"payment_method":"pm_1"}')],
    ['that it has no such page', (_, response) => response.writeHead(404).end('{}')],
    ['a redirection', (_, response) => response.writeHead(302, { location: '/x' }).end()],
    ['no JSON', (_, response) => response.end('<html>')],
    ['no payment method', (_, response) => response.end('{"customer":"cus_1"}')],
    ['something else', (_, response) => response.end('{"payment_method":"4242 4242"}')],
    ['too much', (_, response) => response.end(`{"payment_method":"${'p'.repeat(20_000)}"}`)],
    ['nothing', (request) => request.socket.destroy()],
  ])('is not known when the shop answers %s', async (_, answer) => {
    const { methodOf } = await aShop(answer);
    const error: unknown = await methodOf(charge).catch((cause: unknown) => cause);
    // The cause goes into the history of the run.
    expect(String(error)).toContain('The shop does not say');
    expect(inspect(error)).not.toMatch(/html|4242|shop=7|hidden/);
  });
});
