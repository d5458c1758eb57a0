import { buy, openGateway, until, type OpenGateway } from './open-gateway';
import { createDialer, PURCHASE_HEAD, purchaseRequest, statusesIn } from './raw-lines';

let open: OpenGateway;
let inHand: ReturnType<typeof buy>;
const { dial, hangUp } = createDialer();
afterEach(async () => {
  hangUp();
  // Answered before its connection is closed; otherwise its failure is put down to whichever test runs then.
  open.publisher.acknowledge();
  await inHand;
  await open.close();
});

/** A gateway with room for one purchase, and that one in hand until `open.publisher` acknowledges it. */
async function openFull(): Promise<void> {
  open = await openGateway({ change: () => ({ limits: { buysInFlightMax: 1 } }) });
  open.publisher.next = 'wait';
  inHand = buy(open, { request_id: 'in-hand' });
  await until(() => open.publisher.records.length === 1);
}

describe('a purchase that comes while there is no room', () => {
  test('is refused before its body has come', async () => {
    await openFull();
    const line = await dial(open);
    line.socket.write(`${PURCHASE_HEAD}content-length: 100\r\n\r\n`);
    await until(() => line.received.includes('}'));
    expect(statusesIn(line.received)).toEqual(['503']);
    expect(line.received).toMatch(/retry-after: [123]\r\n/);
    expect(line.received).toContain('/problems/not-accepted');
  });

  test('is told so a moment later, so that asking again at once is no use', async () => {
    await openFull();
    const startedAt = performance.now();
    expect((await buy(open)).status).toBe(503);
    // Timers of Node may fire a millisecond early.
    expect(performance.now() - startedAt).toBeGreaterThan(248);
  });

  test('keeps its connection, on which the next one is accepted when there is room', async () => {
    await openFull();
    const line = await dial(open);
    line.socket.write(purchaseRequest('refused'));
    await until(() => line.received.includes('not-accepted'));
    open.publisher.acknowledge();
    open.publisher.next = 'acknowledge';
    expect((await inHand).status).toBe(202);
    line.socket.write(purchaseRequest('refused'));
    await until(() => statusesIn(line.received).length === 2);
    expect(statusesIn(line.received)).toEqual(['503', '202']);
  });

  test('ends its connection when its body may be large', async () => {
    await openFull();
    const line = await dial(open);
    line.socket.write(`${PURCHASE_HEAD}transfer-encoding: chunked\r\n\r\n`);
    await until(() => line.received.includes('}'));
    expect(statusesIn(line.received)).toEqual(['503']);
    expect(line.received).toContain('connection: close');
  });

  test('is counted with the other refusals', async () => {
    await openFull();
    await buy(open);
    const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
    expect(metrics).toContain('flash_sale_buys_total{answer="not-accepted"} 1');
  });

  test('may leave while its refusal waits', async () => {
    await openFull();
    const line = await dial(open);
    line.socket.write(purchaseRequest('leaves'));
    await until(async () =>
      (await (await fetch(`${open.adminUrl}/metrics`)).text()).includes('answer="not-accepted"} 1'),
    );
    line.socket.destroy();
    expect((await buy(open)).status).toBe(503);
    expect(open.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});

test('whoever does not buy is answered as ever while there is no room for purchases', async () => {
  await openFull();
  for (const path of ['/livez', '/readyz', '/items/101']) {
    expect([path, (await fetch(`${open.url}${path}`)).status]).toEqual([path, 200]);
  }
});
