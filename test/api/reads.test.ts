import { BlockList } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { refusalMs } from '../../api/routes/order-events';
import type { RequestId } from '../../engine/orders/order';
import { buy, ITEM, openGateway, reply, until, type OpenGateway } from './open-gateway';

let open: OpenGateway;
beforeEach(async () => {
  open = await openGateway({ units: 5 });
});
afterEach(() => open.close());

/** Proxies that forward for clients. A connection from them that names none has no client of its own. */
const LOOPBACK = new BlockList();
LOOPBACK.addAddress('127.0.0.1');

const get = async (path: string, headers: Record<string, string> = {}) =>
  reply(await fetch(open.url + path, { headers }));

describe('GET /orders/<request_id>', () => {
  test('shows an accepted order and its timeline', async () => {
    await buy(open, { amount: 2 });
    const { status, headers, body } = await get('/orders/req-1');
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body).toEqual({
      request_id: 'req-1',
      item_id: '101',
      user_id: 'u1',
      amount: 2,
      total_minor: 2000,
      currency: 'USD',
      refunded_minor: 0,
      refunds: [],
      disputes: [],
      status: 'queued',
      reason: null,
      payment_id: null,
      generation: 0,
      finished_at: null,
      accepted_at: expect.stringMatching(/^\d{4}-.*Z$/) as string,
      timeline: [
        { at: expect.any(String) as string, state: 'held' },
        { at: expect.any(String) as string, state: 'queued' },
      ],
      links: { self: '/orders/req-1', events: '/orders/req-1/events' },
    });
  });

  test('shows why an order failed, and no reason for a cancelled one', async () => {
    await buy(open);
    open.stock.force('req-1', { state: 'released', reason: 'payment-declined', finishedAt: 9 });
    expect((await get('/orders/req-1')).body).toMatchObject({
      status: 'failed',
      reason: 'payment-declined',
      finished_at: '1970-01-01T00:00:00.009Z',
    });
    open.stock.force('req-1', { reason: 'cancelled' });
    expect((await get('/orders/req-1')).body).toMatchObject({ status: 'cancelled', reason: null });
  });

  test.each(['req-1', '%7Bx%7D', '%zz', 'a'.repeat(200)])('knows no order %s', async (id) => {
    const { status, body } = await get(`/orders/${id}`);
    expect(status).toBe(404);
    expect(body['type']).toBe('/problems/unknown-order');
  });

  test('does not show an order that is only held, because it is not accepted yet', async () => {
    open.publisher.next = 'wait';
    const answer = buy(open);
    await until(() => open.publisher.records.length === 1);
    expect((await get('/orders/req-1')).status).toBe(404);
    open.publisher.acknowledge();
    await answer;
  });

  test('answers 503 when Redis does not', async () => {
    const broken = await openGateway({
      change: ({ stock }) => ({
        ledger: { ...stock.ledger, findOrder: () => Promise.reject(new Error('gone')) },
      }),
    });
    const { status, headers, body } = await reply(await fetch(`${broken.url}/orders/req-1`));
    await broken.close();
    expect(status).toBe(503);
    expect(headers.get('retry-after')).toMatch(/^[123]$/);
    expect(body).toMatchObject({ type: '/problems/not-accepted', request_id: 'req-1' });
  });
});

describe('GET /orders/<request_id>/events', () => {
  const quick = () =>
    openGateway({
      change: () => ({ limits: { events: { pollMs: 10, lifeMs: 300, keepAliveMs: 40 } } }),
    });

  test('streams the order up to its final outcome and ends', async () => {
    const events = await quick();
    await buy(events);
    const stream = await fetch(`${events.url}/orders/req-1/events`);
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    const text = stream.text();
    events.stock.force('req-1', { state: 'reserved', generation: 1 });
    await until(() => events.stock.snapshot().includes('reserved'));
    setTimeout(() => {
      events.stock.force('req-1', { state: 'sold', paymentId: 'p' });
    }, 40);
    const seen = (await text).split('\n').filter((line) => line.startsWith('data: '));
    const statuses = seen.map((line) => (JSON.parse(line.slice(6)) as { status: string }).status);
    expect(statuses.at(-1)).toBe('confirmed');
    expect(new Set(statuses).size).toBe(statuses.length);
    await events.close();
  });

  test('ends by itself, keeps the connection alive, and repeats nothing after a reconnect', async () => {
    const events = await quick();
    await buy(events);
    const first = await (await fetch(`${events.url}/orders/req-1/events`)).text();
    expect(first).toContain(': still here');
    const id = /^id: (.+)$/m.exec(first)?.[1] ?? '';
    const headers = { 'last-event-id': id };
    const second = await (await fetch(`${events.url}/orders/req-1/events`, { headers })).text();
    expect(second).not.toContain('data:');
    await events.close();
  });

  test('responds with 204 to a client that has received the outcome, so that it does not reconnect', async () => {
    await buy(open);
    open.stock.force('req-1', { state: 'sold' });
    const text = await (await fetch(`${open.url}/orders/req-1/events`)).text();
    const id = /^id: (.+)$/m.exec(text)?.[1] ?? '';
    const headers = { 'last-event-id': id };
    const again = await fetch(`${open.url}/orders/req-1/events`, { headers });
    expect(again.status).toBe(204);
  });

  test('continues after a short outage of Redis', async () => {
    let away = false;
    const events = await openGateway({
      change: ({ stock }) => ({
        limits: { events: { pollMs: 10 } },
        ledger: {
          ...stock.ledger,
          findOrder: (id: RequestId) =>
            away ? Promise.reject(new Error('gone')) : stock.ledger.findOrder(id),
        },
      }),
    });
    await buy(events);
    const stream = await fetch(`${events.url}/orders/req-1/events`);
    away = true;
    await until(() => events.logged.some(({ msg }) => String(msg).startsWith('an order stream')));
    events.stock.force('req-1', { state: 'sold' });
    away = false;
    expect(await stream.text()).toContain('confirmed');
    await events.close();
  });

  test('ends when the gateway closes, and bounds the number of streams', async () => {
    const events = await openGateway({
      change: () => ({ limits: { events: { streamsMax: 1, refusalDelayMs: 0 } } }),
    });
    await buy(events);
    const stream = await fetch(`${events.url}/orders/req-1/events`);
    const refused = await reply(await fetch(`${events.url}/orders/req-1/events`));
    expect(refused.status).toBe(503);
    await events.gateway.drain();
    expect(await stream.text()).toContain('"status":"queued"');
    await events.close();
  });

  test('bounds the streams that are asked for at the same time, and the places of refused ones are free', async () => {
    const events = await openGateway({
      change: ({ stock: { ledger } }) => ({
        // The look-ups of all are under way before the first one has its answer.
        ledger: {
          ...ledger,
          findOrder: async (requestId, itemId) => {
            await sleep(50);
            return ledger.findOrder(requestId, itemId);
          },
        },
        limits: { events: { streamsMax: 2, refusalDelayMs: 0 } },
        trustedProxies: LOOPBACK,
      }),
    });
    await buy(events);
    const open = (id: string) => fetch(`${events.url}/orders/${id}/events`);
    expect((await open('none')).status).toBe(404);
    const crowd = await Promise.all(Array.from({ length: 20 }, () => open('req-1')));
    const statuses = crowd.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 200, ...Array.from({ length: 18 }, () => 503)]);
    await events.gateway.drain();
    await Promise.all(crowd.map((response) => response.text()));
    await events.close();
  });

  test('refuses some hundred a second at most, each within 25 s', () => {
    const draws = Array.from({ length: 1_000 }, () => refusalMs(5_000, 1));
    expect(Math.min(...draws)).toBeGreaterThanOrEqual(2_500);
    expect(Math.max(...draws)).toBeLessThan(7_500);
    const random = jest.spyOn(Math, 'random').mockReturnValue(0.5);
    expect(refusalMs(5_000, 500)).toBe(5_000);
    expect(refusalMs(5_000, 2_000)).toBe(20_000);
    expect(refusalMs(5_000, 10_000)).toBe(25_000);
    random.mockRestore();
  });

  test('leaves room for others, however many one client opens', async () => {
    const events = await openGateway({
      change: () => ({
        limits: { events: { streamsMax: 6, refusalDelayMs: 0 } },
        trustedProxies: LOOPBACK,
      }),
    });
    await buy(events);
    const open = async (client: string) => {
      const headers = { 'x-forwarded-for': client };
      return (await fetch(`${events.url}/orders/req-1/events`, { headers })).status;
    };
    const statuses = [];
    for (const client of ['::1', '::2', '::3', '::4', '::5', '192.0.2.1', '192.0.2.1']) {
      statuses.push(await open(client));
    }
    // The first five are one network, which may have half of the places; the next client half of the others.
    expect(statuses).toEqual([200, 200, 200, 503, 503, 200, 200]);
    expect(await open('192.0.2.1')).toBe(503);
    expect(await open('192.0.2.2')).toBe(200);
    await events.close();
  });

  test('answers 404 for an unknown order', async () => {
    const { status, body } = await get('/orders/none/events');
    expect(status).toBe(404);
    expect(body['type']).toBe('/problems/unknown-order');
  });
});

describe('GET /items/<item_id>', () => {
  test('shows the stock, the window and the price', async () => {
    const sale = { unitsPerUser: 2, opensAt: 1000, priceMinor: 250 };
    await open.stock.setSale(ITEM, sale);
    await buy(open, { amount: 2 });
    const { status, headers, body } = await get('/items/101');
    expect(status).toBe(200);
    expect(headers.get('cache-control')).toBe('public, max-age=1');
    expect(body).toEqual({
      item_id: '101',
      free: 3,
      held: 0,
      queued: 2,
      reserved: 0,
      sold: 0,
      supply: 5,
      price_minor: 250,
      currency: 'USD',
      units_per_user: 2,
      opens_at: '1970-01-01T00:00:01.000Z',
      closes_at: null,
      pay: 'charge',
      pay_within_seconds: null,
      selling_stopped: false,
    });
    await open.stock.setSale(ITEM, { ...sale, payWithinMs: 90_000 });
    const paid = { ...body, pay: 'checkout', pay_within_seconds: 90 };
    expect((await get('/items/101')).body).toEqual(paid);
  });

  test('answers 304 as long as nothing has changed', async () => {
    const etag = (await get('/items/101')).headers.get('etag') ?? '';
    const known = () =>
      fetch(`${open.url}/items/101`, { headers: { 'if-none-match': `"x", W/${etag}` } });
    const same = await known();
    expect(same.status).toBe(304);
    expect(await same.text()).toBe('');
    await buy(open);
    expect((await known()).status).toBe(200);
  });

  test('reads once for concurrent requests', async () => {
    let reads = 0;
    const crowded = await openGateway({
      change: ({ stock }) => ({
        ledger: {
          ...stock.ledger,
          item: async (id) => {
            reads += 1;
            await new Promise((resolve) => setTimeout(resolve, 50));
            return stock.ledger.item(id);
          },
        },
      }),
    });
    await Promise.all(Array.from({ length: 20 }, () => fetch(`${crowded.url}/items/101`)));
    expect(reads).toBeLessThan(10);
    await crowded.close();
  });

  test.each(['102', '%7B101%7D'])('knows no item %s', async (id) => {
    const { status, body } = await get(`/items/${id}`);
    expect(status).toBe(404);
    expect(body['type']).toBe('/problems/unknown-item');
  });
});

describe('the state of the gateway', () => {
  test('is live and not ready without Redis, without which it can read nothing', async () => {
    const half = await openGateway({
      change: () => ({
        probes: { redis: () => Promise.reject(new Error('gone')), kafka: () => true },
      }),
    });
    const live = await reply(await fetch(`${half.url}/livez`));
    const ready = await reply(await fetch(`${half.url}/readyz`));
    await half.close();
    expect(live.status).toBe(200);
    expect(ready.status).toBe(503);
    expect(ready.body).toEqual({ ready: false, dependencies: { redis: false, kafka: true } });
    expect((await get('/readyz')).body).toMatchObject({ ready: true });
  });

  test('is ready without Kafka, and says what its buyers do not get', async () => {
    const half = await openGateway({
      change: () => ({ probes: { redis: () => true, kafka: () => false } }),
    });
    const ready = await reply(await fetch(`${half.url}/readyz`));
    await half.close();
    expect(ready.status).toBe(200);
    expect(ready.body).toEqual({
      ready: true,
      dependencies: { redis: true, kafka: false },
      warnings: ['Kafka does not answer: purchases and cancellations get 503'],
    });
  });

  test('counts purchases by how they were answered', async () => {
    await buy(open);
    await buy(open);
    await buy(open, { amount: 0 });
    const text = await (await fetch(`${open.adminUrl}/metrics`)).text();
    expect(text).toContain('flash_sale_buys_total{answer="accepted"} 1');
    expect(text).toContain('flash_sale_buys_total{answer="duplicate-request"} 1');
    expect(text).toContain('flash_sale_buys_total{answer="invalid-request"} 1');
    expect(text).toContain('flash_sale_buys_in_flight 0');
  });
});
