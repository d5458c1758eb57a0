import { InvalidWebhookError, type PaymentEvent } from '../../../engine/payments/payment-provider';
import { createEventList } from '../../../engine/payments/simulator/ledger/event-list';
import type { Webhook } from './payment-events.contract';
import { newCharge } from './payment-provider.contract';
import { send, startSimulator, until } from './running-simulator';
import { startReceiver } from './webhook-receiver';

describe('the webhooks of the simulator', () => {
  let receiver: Awaited<ReturnType<typeof startReceiver>>;
  let simulator: Awaited<ReturnType<typeof startSimulator>>;
  beforeEach(async () => {
    receiver = await startReceiver();
    simulator = await startSimulator({ webhooks: receiver.webhooks });
  });
  afterEach(async () => {
    await simulator.close();
    await receiver.close();
    expect(simulator.errors).toEqual([]);
  });

  const paid = async () => {
    const charge = newCharge();
    await simulator.provider.checkout(charge);
    await simulator.pay(charge.key, 'approve');
    return charge.key;
  };
  const read = ({ body, headers }: Webhook): Promise<PaymentEvent> =>
    simulator.provider.readWebhook(body, (name) => headers[name]);
  const keysReceived = async () => {
    const events = await Promise.all(receiver.received().map(read));
    return events.map(({ hint }) => hint?.key);
  };

  it('are sent again until the receiver has come back', async () => {
    await receiver.close();
    const key = await paid();
    receiver = await startReceiver({ port: receiver.port, status: 500 });
    await receiver.webhooksOf(key, 2);
    await receiver.close();
    receiver = await startReceiver({ port: receiver.port });
    await receiver.webhooksOf(key, 1);
    // A later one shows that the first is not sent any more.
    await receiver.webhooksOf(await paid(), 1);
    expect(receiver.received()).toHaveLength(2);
  });

  it('end with the simulator, while one waits for its receiver', async () => {
    await receiver.close();
    await paid();
    await simulator.misbehave({ kind: 'slow', operation: 'webhook', delayMs: 60_000 });
    await paid();
    const startedAt = performance.now();
    await simulator.close();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    receiver = await startReceiver();
    simulator = await startSimulator();
  });

  it('can be lost: the list of events has them', async () => {
    await simulator.misbehave({ kind: 'lost', times: 1 });
    const lost = await paid();
    const sent = await paid();
    await receiver.webhooksOf(sent, 1);
    await expect(keysReceived()).resolves.toEqual([sent]);
    const { events } = await simulator.provider.listEvents(0);
    expect(events.map(({ hint }) => hint?.key)).toEqual([lost, sent]);
  });

  it('can be lost for a fraction of the keys, the same ones each time', async () => {
    await simulator.misbehave({ kind: 'lost', rate: 0.3 });
    const keys = await Promise.all(Array.from({ length: 200 }, paid));
    const [fired = 0] = await simulator.fired();
    // 200 keys at 30 %: four standard deviations (6.5) either way.
    expect(fired).toBeGreaterThan(34);
    expect(fired).toBeLessThan(86);
    await until(() => Promise.resolve(receiver.received().length === keys.length - fired));
  });

  it('can be doubled', async () => {
    await simulator.misbehave({ kind: 'twice', operation: 'webhook', times: 1 });
    const key = await paid();
    const [one, other] = await Promise.all((await receiver.webhooksOf(key, 2)).map(read));
    expect(one).toEqual(other);
  });

  it('can be late', async () => {
    await simulator.misbehave({ kind: 'slow', operation: 'webhook', delayMs: 300, times: 1 });
    const startedAt = performance.now();
    await receiver.webhooksOf(await paid(), 1);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(299);
  });

  it('can be overtaken by another', async () => {
    await simulator.misbehave({ kind: 'reordered', delayMs: 60_000, times: 1 });
    const [first, second] = [await paid(), await paid()];
    await receiver.webhooksOf(first, 1);
    await expect(keysReceived()).resolves.toEqual([second, first]);
  });

  it('can be forged, which the adapter refuses', async () => {
    await simulator.misbehave({ kind: 'forged', times: 1 });
    const [webhook] = await receiver.webhooksOf(await paid(), 1);
    if (!webhook) throw new Error('there is one');
    await expect(read(webhook)).rejects.toThrow(InvalidWebhookError);
  });

  it('are not made for what the engine charges by itself, but for its refund', async () => {
    const charge = newCharge();
    await simulator.provider.charge(charge);
    await simulator.provider.refund(charge.key);
    const [webhook] = await receiver.webhooksOf(charge.key, 1);
    const event = webhook && (await read(webhook));
    expect(event?.hint).toMatchObject({ kind: 'returns', key: charge.key });
    expect(receiver.received()).toHaveLength(1);
  });

  it('say nothing of whom the payment is, where they were not told', async () => {
    const { key } = newCharge();
    await send(simulator.url, 'POST', '/charges', { key, amount: 1, currency: 'USD' });
    await simulator.provider.refund(key);
    const [webhook] = await receiver.webhooksOf(key, 1);
    expect(webhook && Object.keys(await read(webhook))).toEqual(['id', 'at']);
  });
});

describe('the list of events of the simulator', () => {
  const event = (id: number, at: number) => ({
    id: `evt_${id}`,
    type: 'payment.paid' as const,
    at,
    key: 'k',
  });

  it('never splits the events of one millisecond, so that no page is read for ever', () => {
    const list = createEventList();
    for (const [id, at] of [1, 5, 5, 5, 5, 7, 7].entries()) list.add(event(id, at));
    const page = list.page(0, 2);
    expect(page.events.map(({ at }) => at)).toEqual([1, 5, 5, 5, 5]);
    expect(page.next).toBe(7);
    expect(list.page(7, 2)).toEqual({ events: [event(5, 7), event(6, 7)] });
    expect(list.page(8, 2)).toEqual({ events: [] });
  });

  it('forgets the oldest when there are too many', () => {
    const list = createEventList(10);
    for (let id = 0; id < 11; id++) list.add(event(id, id));
    expect(list.page(0, 100).events.map(({ at }) => at)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
