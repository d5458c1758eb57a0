import { createServer } from 'node:http';
import { startStripeDouble } from '../engine/payments/stripe-double';
import { buy, getJson } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { listenOnLoopback, type LoopbackServer } from '../support/loopback-server';
import { anItem } from '../support/purchases';

/*
  The whole engine with PAYMENT_PROVIDER=stripe: every process gets the provider by its settings.
*/
let stripe: Awaited<ReturnType<typeof startStripeDouble>>;
let shop: LoopbackServer;
let engine: Engine;
beforeAll(async () => {
  stripe = await startStripeDouble();
  const server = createServer((request, response) => {
    const userId = new URL(request.url ?? '', 'http://shop').searchParams.get('user_id');
    if (userId === 'nobody') response.end('{"payment_method":null}');
    else response.end(JSON.stringify({ payment_method: `pm_of_${userId ?? ''}` }));
  });
  shop = await listenOnLoopback(server, { open: [] });
  engine = await startEngine({
    PAYMENT_PROVIDER: 'stripe',
    STRIPE_SECRET_KEY: 'sk_test_123',
    STRIPE_API_URL: stripe.url,
    PAYMENT_METHODS_URL: `http://127.0.0.1:${shop.port}/payment-method`,
  });
}, 90_000);
afterAll(async () => {
  await engine.stop();
  await shop.close();
  await stripe.close();
}, 60_000);

async function outcomeOf(userId: string, more: object = {}) {
  const itemId = anItem();
  await engine.redis.set(`inventory:${itemId}`, 1);
  const requestId = `${itemId}-1`;
  const purchase = { user_id: userId, item_id: itemId, amount: 1, request_id: requestId, ...more };
  expect((await buy(engine.gateway, purchase)).status).toBe(202);
  const order = await eventually(`${requestId} is final`, async () => {
    const found = await getJson(`${engine.gateway}/orders/${requestId}`);
    return found['status'] !== 'queued' && found['status'] !== 'reserved' && found;
  });
  const free = await engine.redis.get(`inventory:${itemId}`);
  const intents = stripe.intents().filter((one) => one.metadata['request_id'] === requestId);
  return { order, free, intents };
}

test('an order is paid with what the purchase names', async () => {
  const payment = { payment_method: 'pm_named', customer: 'cus_1' };
  const { order, free, intents } = await outcomeOf('u1', { payment });
  expect(order).toMatchObject({ status: 'confirmed', payment_id: intents[0]?.id });
  expect(free).toBe('0');
  expect(intents).toMatchObject([
    { status: 'succeeded', amount: 1000, currency: 'usd', payment_method: 'pm_named' },
  ]);
});

test('an order is paid with what the shop answers', async () => {
  const { order, intents } = await outcomeOf('u2');
  expect(order).toMatchObject({ status: 'confirmed' });
  expect(intents).toMatchObject([{ status: 'succeeded', payment_method: 'pm_of_u2' }]);
});

test('an order of a buyer without a payment method fails, and its unit goes back', async () => {
  const { order, free } = await outcomeOf('nobody');
  expect(order).toMatchObject({ status: 'failed', reason: 'payment-declined' });
  expect(free).toBe('1');
});
