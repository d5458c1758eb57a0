import { BlockList } from 'node:net';
import { buy, openGateway, until, type OpenGateway } from './open-gateway';
import { createDialer, PURCHASE_HEAD, purchaseRequest, statusesIn, type Line } from './raw-lines';

let open: OpenGateway;
const { dial, hangUp } = createDialer();
afterEach(async () => {
  hangUp();
  await open.close();
});

describe('the door loses patience', () => {
  test('with headers that come a byte at a time', async () => {
    open = await openGateway({ bounds: { headersMsMax: 200 } });
    const slow = await dial(open);
    let sent = 0;
    const drip = setInterval(() => slow.socket.write(`x-${String(sent++)}: 1\r\n`), 20);
    slow.socket.write('POST /buy HTTP/1.1\r\nhost: x\r\n');
    try {
      await until(() => slow.closed);
    } finally {
      clearInterval(drip);
    }
    expect(statusesIn(slow.received)).toEqual(['408']);
    expect(slow.received).toContain('/problems/request-timeout');
  });

  test('with connections on which nothing comes', async () => {
    open = await openGateway({ bounds: { headersMsMax: 200 } });
    const silent = await dial(open);
    await until(() => silent.closed);
  });

  test('with connections that stay idle after an answer', async () => {
    open = await openGateway({ bounds: { keepAliveMs: 100 } });
    const line = await dial(open);
    line.socket.write(purchaseRequest('a'));
    await until(() => line.closed);
    expect(statusesIn(line.received)).toEqual(['202']);
  });

  test('while others are served: a hundred slow ones hold nobody up', async () => {
    open = await openGateway();
    for (let i = 0; i < 100; i++) {
      const { socket } = await dial(open);
      socket.write('POST /buy HTTP/1.1\r\nhost: x\r\n');
    }
    expect((await buy(open)).status).toBe(202);
  });
});

/** How often the gateway did something to protect the others, by its metrics. */
async function pressure(what: string): Promise<number> {
  const metrics = await (await fetch(`${open.adminUrl}/metrics`)).text();
  const line = metrics.split('\n').find((text) => text.startsWith(`${PRESSURE}{what="${what}`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

const PRESSURE = 'flash_sale_pressure_total';

describe('the door makes room', () => {
  test('by closing the connections that have been idle longest', async () => {
    open = await openGateway({ bounds: { connectionsShedFrom: 3 } });
    const [silent, used, answered] = [await dial(open), await dial(open), await dial(open)];
    used.socket.write(purchaseRequest('a'));
    await until(() => statusesIn(used.received).length === 1);
    answered.socket.write(purchaseRequest('b'));
    await until(() => statusesIn(answered.received).length === 1);
    const fourth = await dial(open);
    await until(() => silent.closed);
    const fifth = await dial(open);
    await until(() => used.closed);
    for (const line of [answered, fourth, fifth]) line.socket.write(purchaseRequest('c'));
    await until(() => [answered, fourth, fifth].every(({ received }) => received.includes('"c"')));
    expect([answered, fourth, fifth].map(({ closed }) => closed)).toEqual([false, false, false]);
  });

  test('before the files that the process may open are used up', async () => {
    open = await openGateway({ bounds: { openFilesMax: 4 } });
    const first = await dial(open);
    await dial(open);
    await dial(open);
    await until(() => first.closed);
  });

  test('and never by closing one that waits for its answer', async () => {
    open = await openGateway({ bounds: { connectionsShedFrom: 1 } });
    open.publisher.next = 'wait';
    const waiting = await dial(open);
    waiting.socket.write(purchaseRequest('a'));
    await until(() => open.publisher.records.length === 1);
    const [second, third] = [await dial(open), await dial(open)];
    await until(() => second.closed);
    expect(third.closed).toBe(false);
    open.publisher.acknowledge();
    await until(() => statusesIn(waiting.received).length === 1);
    expect(statusesIn(waiting.received)).toEqual(['202']);
  });

  test('counts it, and logs it at most once a second', async () => {
    open = await openGateway({ bounds: { connectionsShedFrom: 1 } });
    const lines: Line[] = [];
    for (let i = 0; i < 6; i++) lines.push(await dial(open));
    await until(() => lines.filter(({ closed }) => closed).length === 5);
    const what = 'an idle connection was closed to make room';
    expect(await pressure(what)).toBeGreaterThanOrEqual(5);
    expect(open.logged.filter(({ msg }) => msg === what).length).toBeLessThan(5);
  });

  test('by giving up the slow body that began first', async () => {
    open = await openGateway({ change: () => ({ limits: { bodiesMax: 2 } }) });
    const [first, second] = [await dial(open), await dial(open)];
    const slow = `${PURCHASE_HEAD}content-length: 200\r\n\r\n{`;
    first.socket.write(slow);
    await until(() => first.socket.bytesWritten > 0);
    await buy(open, { request_id: 'a' });
    second.socket.write(slow);
    const third = await dial(open);
    third.socket.write(slow);
    await until(() => first.closed);
    expect(statusesIn(first.received)).toEqual(['408']);
    expect([second.closed, third.closed]).toEqual([false, false]);
    expect(await pressure('a slow body was given up')).toBe(1);
  });

  test('by holding up the next connection of a client whose body did not come', async () => {
    open = await openGateway({
      bounds: { holdUpMs: 3_500 },
      change: () => ({ limits: { bodyDeadlineMs: 50 } }),
    });
    const slow = await dial(open);
    slow.socket.write(`${PURCHASE_HEAD}content-length: 200\r\n\r\n{`);
    await until(() => slow.closed);
    const again = await dial(open);
    again.socket.write(purchaseRequest('again'));
    const other = await dial(open, '127.0.0.2');
    other.socket.write(purchaseRequest('other'));
    await until(() => statusesIn(other.received).length === 1);
    expect(again.received).toBe('');
  });

  test('by cutting connections on which nothing moves', async () => {
    open = await openGateway({ bounds: { stalledMs: 50 } });
    open.publisher.next = 'wait';
    const line = await dial(open);
    line.socket.write(purchaseRequest('a'));
    await until(() => line.closed);
    expect(line.received).toBe('');
  });
});

describe('the door counts its connections', () => {
  test('drops what exceeds the bound, and takes new ones once others are idle', async () => {
    open = await openGateway({ bounds: { connectionsMax: 2 } });
    open.publisher.next = 'wait';
    const [first, second] = [await dial(open), await dial(open)];
    first.socket.write(purchaseRequest('a'));
    second.socket.write(purchaseRequest('b'));
    await until(() => open.publisher.records.length === 2);
    const third = await dial(open);
    await until(() => third.closed);
    open.publisher.next = 'acknowledge';
    open.publisher.acknowledge();
    await until(() => [first, second].every(({ received }) => received.includes('\r\n\r\n{')));
    await until(async () => {
      const next = await dial(open);
      next.socket.write(purchaseRequest('c'));
      await until(() => next.closed || next.received.includes('\r\n\r\n{'));
      return statusesIn(next.received).length === 1;
    });
    expect([first.closed, second.closed]).toEqual([true, false]);
  });
});

describe('requests that come in one go on one connection', () => {
  test('are served one at a time, and others get their turn in between', async () => {
    open = await openGateway({ units: 50 });
    open.publisher.next = 'wait';
    const greedy = await dial(open);
    greedy.socket.write(['g1', 'g2', 'g3'].map(purchaseRequest).join(''));
    await until(() => open.publisher.records.length === 1);
    const honest = await dial(open);
    honest.socket.write(purchaseRequest('h1'));
    await until(() => open.publisher.records.length === 2);
    open.publisher.acknowledge();
    await until(() => open.publisher.records.length === 3);
    open.publisher.acknowledge();
    await until(() => open.publisher.records.length === 4);
    expect(open.publisher.records.map(({ key }) => key)).toEqual(['g1', 'h1', 'g2', 'g3']);
  });

  test('end the connection if there are too many, and most of them are not served', async () => {
    open = await openGateway({ units: 50 });
    const line = await dial(open);
    const ids = Array.from({ length: 200 }, (_, i) => `r${i}`);
    line.socket.write(ids.map(purchaseRequest).join(''));
    await until(() => line.closed);
    expect(open.publisher.records.length).toBeLessThan(9);
    expect(await pressure('a connection was closed: too many requests')).toBe(1);
  });

  /** Has a connection from 127.0.0.1 closed for too many requests, and sends one over the next. */
  const sendAfterTooMany = async (holdUpMs: number, bounds = {}, parts = {}) => {
    open = await openGateway({ units: 50, bounds: { holdUpMs, ...bounds }, change: () => parts });
    const ids = Array.from({ length: 20 }, (_, i) => `r${i}`);
    const greedy = await dial(open);
    greedy.socket.write(ids.map(purchaseRequest).join(''));
    await until(() => greedy.closed);
    const again = await dial(open);
    again.socket.write(purchaseRequest('again'));
    return again;
  };

  test('hold up the next connection of their client once they were too many, and no other', async () => {
    const again = await sendAfterTooMany(3_500);
    const other = await dial(open, '127.0.0.2');
    other.socket.write(purchaseRequest('other'));
    await until(() => statusesIn(other.received).length === 1);
    expect([again.received, again.closed]).toEqual(['', false]);
  });

  test('are served again once their client has waited', async () => {
    const again = await sendAfterTooMany(50);
    await until(() => statusesIn(again.received).length === 1);
    expect(statusesIn(again.received)).toEqual(['202']);
  });

  test('leave the next connection of their client unread when it would wait for too long', async () => {
    const again = await sendAfterTooMany(60_000, { headersMsMax: 200 });
    await until(() => again.closed);
    expect(statusesIn(again.received)).toEqual(['408']);
    expect(open.publisher.records.map(({ key }) => key)).not.toContain('again');
  });

  test('hold up many new connections of their address no longer than one', async () => {
    await sendAfterTooMany(1_000);
    const lines = await Promise.all(Array.from({ length: 20 }, () => dial(open)));
    lines.forEach((line, i) => line.socket.write(purchaseRequest(`of-many-${i}`)));
    await until(() => lines.every(({ received, closed }) => closed || received.includes('}')));
    expect(new Set(lines.flatMap(({ received }) => statusesIn(received)))).toEqual(
      new Set(['202']),
    );
  });

  test('hold up no other connection of a trusted proxy', async () => {
    const trustedProxies = new BlockList();
    trustedProxies.addAddress('127.0.0.1');
    const again = await sendAfterTooMany(60_000, {}, { trustedProxies });
    await until(() => statusesIn(again.received).length === 1);
    expect(statusesIn(again.received)).toEqual(['202']);
  });

  test('are not carried out after a response that ends the connection', async () => {
    open = await openGateway();
    const line = await dial(open);
    const refused = 'GET /livez HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n';
    line.socket.write(`${refused}${purchaseRequest('b')}`);
    await until(() => line.closed);
    expect(statusesIn(line.received)).toEqual(['400']);
    expect(open.publisher.records).toEqual([]);
  });

  test('are answered one by one, in their order', async () => {
    open = await openGateway();
    const line = await dial(open);
    line.socket.write(['a', 'b', 'c', 'a'].map(purchaseRequest).join(''));
    await until(() => statusesIn(line.received).length === 4);
    expect(statusesIn(line.received)).toEqual(['202', '202', '202', '409']);
    const ids = [...line.received.matchAll(/"request_id":"(\w)","status":"queued"/g)];
    expect(ids.map((match) => match[1])).toEqual(['a', 'b', 'c']);
  });

  test('are served up to the one that is broken, which ends the connection', async () => {
    open = await openGateway();
    const line = await dial(open);
    line.socket.write(`${purchaseRequest('a')}NOT HTTP\r\n\r\n${purchaseRequest('b')}`);
    await until(() => line.closed);
    expect(statusesIn(line.received)).not.toContain('500');
    expect(open.publisher.records.map(({ key }) => key)).not.toContain('b');
  });
});

describe('a shutdown', () => {
  test('waits a moment for requests that are on their way over idle connections', async () => {
    open = await openGateway({ change: () => ({ limits: { lingerMs: 300 } }) });
    const line = await dial(open);
    line.socket.write(purchaseRequest('a'));
    await until(() => statusesIn(line.received).length === 1);
    // As main.ts does: drain, then close. The request is sent while nothing is in hand any more.
    const closed = open.gateway.drain().then(() => open.close());
    line.socket.write(purchaseRequest('b'));
    await closed;
    expect(statusesIn(line.received)).toEqual(['202', '503']);
  });

  test('answers what comes on open connections, and ends them after it', async () => {
    open = await openGateway();
    const line = await dial(open);
    line.socket.write(purchaseRequest('a'));
    await until(() => statusesIn(line.received).length === 1);
    const draining = open.gateway.drain();
    line.socket.write(purchaseRequest('b'));
    await until(() => line.closed);
    await draining;
    expect(statusesIn(line.received)).toEqual(['202', '503']);
    expect(line.received).toContain('connection: close');
  });
});
