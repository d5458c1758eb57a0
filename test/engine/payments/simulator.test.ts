import { once } from 'node:events';
import { connect } from 'node:net';
import { createSimulator } from '../../../engine/payments/simulator/simulator';
import { newCharge } from './payment-provider.contract';
import { newLedgerFile, send, startSimulator } from './running-simulator';

describe('the payment simulator', () => {
  let simulator: Awaited<ReturnType<typeof startSimulator>>;
  beforeAll(async () => {
    simulator = await startSimulator();
  });
  afterAll(() => simulator.close());

  it('shows every key with its effective state in GET /ledger', async () => {
    const [captured, refunded, blocked, declined] = [1, 2, 3, 4].map(() => newCharge());
    const startedAt = Date.now();
    await simulator.misbehave({ kind: 'decline', keyPrefix: String(declined?.key) });
    for (const charge of [captured, refunded, declined]) {
      if (charge) await simulator.provider.charge(charge);
    }
    for (const charge of [refunded, blocked])
      if (charge) await simulator.provider.refund(charge.key);

    const at = expect.any(Number) as number;
    const id = expect.stringMatching(/./) as string;
    const rows = await simulator.ledger();
    expect(rows).toEqual([
      { key: captured?.key, status: 'captured', amount: 1000, currency: 'USD', payment_id: id, at },
      {
        key: refunded?.key,
        status: 'refunded',
        amount: 1000,
        currency: 'USD',
        payment_id: id,
        at,
        refunded: 1000,
      },
      { key: declined?.key, status: 'declined', amount: 1000, currency: 'USD', at },
      { key: blocked?.key, status: 'blocked', amount: 0, currency: null, at },
    ]);
    expect(rows.every((row) => row.at >= startedAt && row.at <= Date.now())).toBe(true);
  });

  it('tells the secret of a page to whoever opens the payment, and to nobody else', async () => {
    const charge = newCharge();
    const result = await simulator.provider.checkout(charge);
    const url = result.kind === 'pending' && 'url' in result.page ? result.page.url : '';
    const { port } = new URL(simulator.url);
    const [, secret = ''] =
      /^http:\/\/localhost:(\d+)\/pay\/([\w-]{32})$/.exec(url.replace(port, '0'))?.slice(1) ?? [];
    expect(secret).not.toBe('');
    expect(url).toBe(`http://localhost:${port}/pay/${secret}`);
    const told = [
      await simulator.ledger(),
      await send(simulator.url, 'GET', `/charges/${charge.key}`),
      await send(url, 'POST', '', { action: 'decline' }),
      await send(simulator.url, 'POST', `/charges/${charge.key}/cancel`),
    ];
    expect(JSON.stringify(told)).not.toContain(secret);
    expect(told[1]).toMatchObject({ body: { key: charge.key, status: 'open' } });
  });

  it('is alive', async () => {
    await expect(send(simulator.url, 'GET', '/livez')).resolves.toMatchObject({ status: 200 });
  });

  const good = { key: 'k1', amount: 1, currency: 'USD' };
  it.each([
    ['POST', '/charges', '{"key":', 400, 'not JSON'],
    ['POST', '/charges', '', 400, 'not JSON'],
    ['POST', '/charges', '[]', 400, 'must be a JSON object'],
    ['POST', '/charges', { ...good, key: undefined }, 400, 'key must be'],
    ['POST', '/charges', { ...good, key: 'a b' }, 400, 'key must be'],
    ['POST', '/charges', { ...good, key: 'k'.repeat(256) }, 400, 'key must be'],
    ['POST', '/charges', { ...good, amount: 0 }, 400, 'amount must be'],
    ['POST', '/charges', { ...good, amount: 1.5 }, 400, 'amount must be'],
    ['POST', '/charges', { ...good, amount: '1' }, 400, 'amount must be'],
    ['POST', '/charges', { ...good, currency: 'usd' }, 400, 'currency must be'],
    ['POST', '/charges', 'x'.repeat(70_000), 413, 'larger than'],
    ['POST', '/payments', { ...good, amount: 0 }, 400, 'amount must be'],
    ['POST', '/pay/unknown', { action: 'approve' }, 404, 'no such payment'],
    ['POST', '/pay/unknown', { action: 'steal' }, 400, 'action must be one of approve, '],
    ['GET', '/events?since=x', undefined, 400, 'since must be'],
    ['GET', '/events?limit=0', undefined, 400, 'limit must be'],
    ['GET', '/charges/%E0%A4%A', undefined, 400, 'not encoded'],
    ['GET', '/charges/a%20b', undefined, 400, 'key must be'],
    ['GET', '/charges', undefined, 405, 'takes POST only'],
    ['DELETE', '/charges/k1', undefined, 405, 'takes GET only'],
    ['GET', '/nowhere', undefined, 404, 'nothing at /nowhere'],
  ])(
    'answers %s %s with %p by a problem of status %i',
    async (method, path, body, status, detail) => {
      const reply = await send(simulator.url, method, path, body);
      expect(reply).toMatchObject({ status, type: 'application/problem+json', body: { status } });
      expect(reply.body['detail']).toContain(detail);
    },
  );

  it('answers by 409 what has no definite answer while a buyer or a bank decides', async () => {
    const charge = newCharge();
    const { key } = charge;
    await simulator.provider.checkout(charge);
    const body = { key, amount: 1000, currency: 'USD' };
    const charged = await send(simulator.url, 'POST', '/charges', body);
    expect(charged).toMatchObject({ status: 409, body: { type: 'conflict' } });
    await simulator.pay(key, 'processing');
    const refunded = await send(simulator.url, 'POST', `/charges/${key}/refund`);
    expect(refunded).toMatchObject({ status: 409, body: { type: 'undecided' } });
  });

  it.each([
    ['approve', 'captured'],
    ['decline', 'open'],
    ['challenge', 'processing'],
  ] as const)('takes %s as what the bank decides: %s', async (action, status) => {
    const charge = newCharge();
    await simulator.provider.checkout(charge);
    await simulator.pay(charge.key, 'processing');
    await simulator.pay(charge.key, action);
    await expect(simulator.statusOf(charge.key)).resolves.toBe(status);
  });

  it('approves no challenge that was not made, or has failed', async () => {
    const charge = newCharge();
    await simulator.provider.checkout(charge);
    await simulator.pay(charge.key, 'approve-challenge');
    for (const action of ['challenge', 'fail-challenge', 'approve-challenge'] as const) {
      await simulator.pay(charge.key, action);
    }
    await expect(simulator.statusOf(charge.key)).resolves.toBe('open');
  });

  it('answers a conflict by 409', async () => {
    const { key } = newCharge();
    await send(simulator.url, 'POST', '/charges', { key, amount: 1, currency: 'USD' });
    const reply = await send(simulator.url, 'POST', '/charges', {
      key,
      amount: 2,
      currency: 'USD',
    });
    expect(reply).toMatchObject({ status: 409, body: { type: 'conflict' } });
  });

  it('charges nothing when the caller hangs up in the middle of a request', async () => {
    const { key } = newCharge();
    const socket = connect(Number(new URL(simulator.url).port), '127.0.0.1');
    await once(socket, 'connect');
    const head = 'POST /charges HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n';
    socket.end(`${head}{"key":"${key}","amount":1,`);
    socket.resume();
    await once(socket, 'close');
    await expect(simulator.provider.find(key)).resolves.toBeUndefined();
    expect(simulator.errors).toEqual([]);
  });

  it('does not start on a port that is taken', async () => {
    const { ledgerFile, remove } = await newLedgerFile();
    const second = await createSimulator({ ledgerFile, declineRate: 0 });
    await expect(second.listen(Number(new URL(simulator.url).port))).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    await second.close();
    await remove();
  });
});

describe('PAYMENT_DECLINE_RATE', () => {
  const answersOf = async (declineRate: number) => {
    const { ledgerFile, remove } = await newLedgerFile();
    const simulator = await createSimulator({ ledgerFile, declineRate });
    const { url } = await simulator.listen(0);
    const charges = Array.from({ length: 300 }, (_, index) => ({
      ...newCharge(),
      key: `r${index}:1`,
    }));
    const replies = await Promise.all(
      charges.map(({ key }) => send(url, 'POST', '/charges', { key, amount: 1, currency: 'USD' })),
    );
    await simulator.close();
    await remove();
    return replies.map(({ body }) => body['status']);
  };

  it('declines about that fraction of the keys, the same ones in every run', async () => {
    const [first, second] = [await answersOf(0.1), await answersOf(0.1)];
    expect(second).toEqual(first);
    const declined = first.filter((status) => status === 'declined').length;
    // 300 keys at 10 %: 30, and more than four standard deviations (5.2) either way would be a bug.
    expect(declined).toBeGreaterThan(8);
    expect(declined).toBeLessThan(52);
  });

  it('declines no key at 0 and every key at 1', async () => {
    expect(new Set(await answersOf(0))).toEqual(new Set(['captured']));
    expect(new Set(await answersOf(1))).toEqual(new Set(['declined']));
  });
});
