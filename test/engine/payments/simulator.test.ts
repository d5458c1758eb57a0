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
      { key: refunded?.key, status: 'refunded', amount: 1000, currency: 'USD', payment_id: id, at },
      { key: declined?.key, status: 'declined', amount: 1000, currency: 'USD', at },
      { key: blocked?.key, status: 'blocked', amount: 0, currency: null, at },
    ]);
    expect(rows.every((row) => row.at >= startedAt && row.at <= Date.now())).toBe(true);
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
