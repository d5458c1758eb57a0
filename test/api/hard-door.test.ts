import { buy, openGateway, until, type OpenGateway } from './open-gateway';
import { createDialer, purchaseRequest, statusesIn } from './raw-lines';

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

describe('the door counts its connections', () => {
  test('drops what exceeds the bound, and takes new ones once others have left', async () => {
    open = await openGateway({ bounds: { connectionsMax: 2 } });
    const [first, second] = [await dial(open), await dial(open)];
    const third = await dial(open);
    await until(() => third.closed);
    for (const line of [first, second]) line.socket.write(purchaseRequest('a'));
    await until(() => [first, second].every(({ received }) => received.includes('\r\n\r\n{')));
    first.socket.destroy();
    await until(async () => {
      const next = await dial(open);
      next.socket.write(purchaseRequest('b'));
      await until(() => next.closed || next.received.includes('\r\n\r\n{'));
      return statusesIn(next.received).length === 1;
    });
  });
});

describe('requests that come in one go on one connection', () => {
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
