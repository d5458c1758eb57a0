import { appendFile, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { describeAfterSale } from './after-sale.contract';
import { newCharge } from './payment-provider.contract';
import { newLedgerFile, send, startSimulator, until } from './running-simulator';
import { startReceiver } from './webhook-receiver';
import { createHttpPaymentProvider } from '../../../engine/payments/http-provider';
import { createSimulator } from '../../../engine/payments/simulator/simulator';

describeAfterSale('the simulator over HTTP', async () => {
  const simulator = await startSimulator();
  const { url } = simulator;
  let pending: object[] = [];
  const declines: object[] = [];
  const set = () => simulator.misbehave(...declines, ...pending);
  return {
    ...simulator,
    decline: (key, code) => {
      declines.push({ kind: 'decline', keyPrefix: key, code });
      return set();
    },
    refundsAre: (status) => {
      pending = status === 'pending' ? [{ kind: 'pending' }] : [];
      return set();
    },
    decideRefund: async (key, id, status) => {
      await send(url, 'POST', `/charges/${key}/refunds/${id}`, { status });
    },
    dispute: async (key, status) => {
      if (status === 'open') {
        await send(url, 'POST', `/charges/${key}/dispute`, { reason: 'fraudulent' });
      } else await send(url, 'POST', `/charges/${key}/dispute/close`, { status });
    },
  };
});

describe('the simulator after a sale', () => {
  let simulator: Awaited<ReturnType<typeof startSimulator>>;
  beforeEach(async () => {
    simulator = await startSimulator();
  });
  afterEach(() => simulator.close());

  const charged = async () => {
    const { key, ...charge } = newCharge();
    await simulator.provider.charge({ ...charge, key });
    return key;
  };
  const refund = (key: string, refundKey: string, amountMinor: number) =>
    simulator.provider.refundSale({ key, refundKey, amountMinor, currency: 'USD' });
  const statusesOf = async (key: string) =>
    (await simulator.provider.returns(key)).refunds.map(({ status, code }) => code ?? status);

  it('fails refunds later when told so, and holds the money again', async () => {
    const key = await charged();
    await simulator.misbehave({
      kind: 'fail-later',
      delayMs: 200,
      code: 'expired_or_canceled_card',
    });
    await expect(refund(key, 'op-1', 1000)).resolves.toMatchObject({ status: 'succeeded' });
    await expect(simulator.provider.find(key)).resolves.toMatchObject({ kind: 'declined' });
    await until(async () => (await statusesOf(key))[0] === 'expired_or_canceled_card');
    await expect(simulator.provider.find(key)).resolves.toMatchObject({ kind: 'charged' });
    await expect(simulator.moneyHeld(key)).resolves.toBe(1000);
  });

  it('keeps refunds pending for a time when told so', async () => {
    const key = await charged();
    await simulator.misbehave({ kind: 'pending', delayMs: 200 });
    await expect(refund(key, 'op-1', 400)).resolves.toMatchObject({ status: 'pending' });
    await until(async () => (await statusesOf(key))[0] === 'succeeded');
  });

  it('closes at once although refunds are to fail later', async () => {
    const key = await charged();
    await simulator.misbehave({ kind: 'fail-later', delayMs: 60_000 });
    await refund(key, 'op-1', 400);
    const startedAt = performance.now();
    await simulator.close();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(simulator.errors).toEqual([]);
    simulator = await startSimulator();
  });

  it('breaks refunds of sales and their list when told so', async () => {
    const key = await charged();
    await simulator.misbehave(
      { kind: 'fail-after', operation: 'refund-sale', times: 1 },
      { kind: 'fail-before', operation: 'returns', times: 1 },
    );
    await expect(refund(key, 'op-1', 400)).rejects.toThrow('answered 503');
    await expect(simulator.provider.returns(key)).rejects.toThrow('answered 503');
    await expect(refund(key, 'op-1', 400)).resolves.toMatchObject({ status: 'succeeded' });
    await expect(simulator.moneyHeld(key)).resolves.toBe(600);
  });

  it('gives nothing back of what a buyer or a bank decides on', async () => {
    const charge = newCharge();
    await simulator.provider.checkout(charge);
    await expect(refund(charge.key, 'op-1', 1)).rejects.toThrow('answered 409');
    await simulator.pay(charge.key, 'approve');
    await send(simulator.url, 'POST', `/charges/${charge.key}/dispute`, {});
    await expect(simulator.provider.refund(charge.key)).rejects.toThrow('answered 409');
  });

  it('shows refunds and disputes in GET /ledger', async () => {
    const key = await charged();
    await refund(key, 'op-1', 400);
    await send(simulator.url, 'POST', `/charges/${key}/dispute`, { amount: 100 });
    const [row] = await simulator.ledger();
    expect(row).toMatchObject({ status: 'captured', amount: 1000, refunded: 400, dispute: 'open' });
  });

  it.each([
    ['refunds', { amount: 0 }, 400, 'amount must be'],
    ['refunds/unknown', { status: 'failed' }, 404, 'There is no unknown'],
    ['refunds/unknown', { status: 'pending' }, 400, 'status must be'],
    ['dispute', { amount: 1001 }, 409, 'holds no such amount'],
    ['dispute/close', { status: 'won' }, 409, 'is not disputed'],
    ['dispute/close', { status: 'open' }, 400, 'status must be'],
  ])('answers %s with %j by a problem: %i, %s', async (path, body, status, detail) => {
    const reply = await send(simulator.url, 'POST', `/charges/${await charged()}/${path}`, body);
    expect(reply).toMatchObject({ status, type: 'application/problem+json' });
    expect(reply.body['detail']).toContain(detail);
  });

  it('tells of every step of a refund, of one that nobody named, and of a dispute', async () => {
    const receiver = await startReceiver();
    await simulator.close();
    simulator = await startSimulator({ webhooks: receiver.webhooks });
    const key = await charged();
    await simulator.misbehave({ kind: 'pending', times: 1 });
    const pending = await refund(key, 'op-1', 400);
    const id = 'refundId' in pending ? pending.refundId : '';
    const post = (path: string, body: object) =>
      send(simulator.url, 'POST', `/charges/${key}/${path}`, body);
    await post(`refunds/${id}`, { status: 'failed' });
    await post('refunds', { amount: 100 });
    await post('dispute', {});
    await post('dispute/close', { status: 'won' });
    const { events } = await simulator.provider.listEvents(0);
    expect(events.map(({ hint }) => hint?.kind)).toEqual(Array(5).fill('returns'));
    await receiver.webhooksOf(key, 5);
    await receiver.close();
  });
});

describe('a ledger file', () => {
  it('keeps refunds and disputes, and knows those of earlier versions', async () => {
    const { ledgerFile, remove } = await newLedgerFile();
    const start = async () => {
      const simulator = await createSimulator({ ledgerFile, declineRate: 0 });
      const { url } = await simulator.listen(0);
      return { url, close: simulator.close, provider: createHttpPaymentProvider({ baseUrl: url }) };
    };
    await mkdir(dirname(ledgerFile), { recursive: true });
    const old = { key: 'old', status: 'refunded', amount: 7, currency: 'USD', at: 1 };
    const line = { ...old, payment_id: 'p', code: 'refunded' };
    await appendFile(ledgerFile, `${JSON.stringify(line)}\n`);
    const first = await start();
    const charge = newCharge();
    const { key } = charge;
    await first.provider.charge(charge);
    await first.provider.refundSale({ key, refundKey: 'op-1', amountMinor: 1, currency: 'USD' });
    await send(first.url, 'POST', `/charges/${key}/dispute`, {});
    const before = await first.provider.returns(key);
    await first.close();

    const second = await start();
    await expect(second.provider.returns(key)).resolves.toEqual(before);
    expect(before.refunds).toHaveLength(1);
    await expect(second.provider.returns('old')).resolves.toMatchObject({
      refunds: [{ amountMinor: 7, status: 'succeeded', at: 1 }],
    });
    await second.close();
    await remove();
  });
});
