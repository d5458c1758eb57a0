import { orderCharge } from '../../engine/payments/own-charge';
import { createPaymentHints } from '../../engine/payments/payment-hints';
import { InvalidWebhookError, type PaymentHint } from '../../engine/payments/payment-provider';
import { paymentKey } from '../../engine/orders/order';
import { buy, openGateway, PURCHASE, reply, until, type OpenGateway } from '../api/open-gateway';
import { createFakePaymentProvider } from '../support/fake-payment-provider';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { openRedisStock, type RedisStock } from '../support/redis-stock';

let stock: RedisStock;
let open: OpenGateway;
const money = createFakePaymentProvider();
/** The keys of payments that runs were told to ask about. */
const asked: string[] = [];
const refunds: string[] = [];
const readReturns: string[] = [];
const noteReturns = ({ requestId }: { readonly requestId: string }) => {
  readReturns.push(requestId);
  return Promise.resolve();
};
let isAway = false;

/** How orders have ended that only the archive has, by request_id. */
const ends = new Map<string, { status: string; generation: number }>();
const endOf = ({ requestId }: { readonly requestId: string }) =>
  Promise.resolve(ends.get(requestId));

const runs = {
  ask: (_order: unknown, key: string) => {
    if (isAway) return Promise.reject(new Error('no answer'));
    asked.push(key);
    return Promise.resolve(true);
  },
  hasRun: () => Promise.resolve(false),
  giveBack: (_order: unknown, key: string) => {
    refunds.push(key);
    return Promise.resolve();
  },
};

beforeAll(async () => {
  stock = openRedisStock();
  open = await openGateway({
    change: () => ({
      admission: stock.admission,
      ledger: stock.ledger,
      payments: {
        provider: { ...money.provider, readWebhook },
        act: createPaymentHints({ ledger: stock.ledger, runs, noteReturns, endOf }),
      },
    }),
  });
});
afterAll(async () => {
  await open.close();
  await stock.redis.quit();
});
beforeEach(() => {
  asked.length = 0;
  refunds.length = 0;
  readReturns.length = 0;
  isAway = false;
});

/** Bodies are hints; the signature is the word "signed". */
function readWebhook(body: Buffer, header: (name: string) => string | undefined) {
  if (header('signature') !== 'signed') {
    return Promise.reject(new InvalidWebhookError('The signature is wrong.'));
  }
  const { hint } = JSON.parse(body.toString()) as { hint?: PaymentHint };
  return Promise.resolve({ id: 'evt_1', at: 0, ...(hint && { hint }) });
}

/** An order that waits for its buyer, and its payment key. */
async function anAwaitingOrder(payWithinMs = 60_000) {
  const purchase = aPurchase({ itemId: anItem() });
  await stock.setFree(purchase.itemId, 1);
  const attempt = anAttempt(purchase);
  await stock.admission.claimAndHold([attempt]);
  await stock.admission.queue([attempt]);
  const order = { ...anOrder(attempt), payWithinMs };
  await stock.ledger.reserve(order, 1);
  return { order, key: paymentKey(order.requestId, order.orderId, 1) };
}

const read = async (requestId: string) => reply(await fetch(`${open.url}/orders/${requestId}`));
const webhook = async (body: object, signature = 'signed') =>
  reply(
    await fetch(`${open.url}/webhooks/payments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', signature },
      body: JSON.stringify(body),
    }),
  );
const paid = ({ order, key }: Awaited<ReturnType<typeof anAwaitingOrder>>): PaymentHint => {
  const { requestId, itemId } = order;
  return { kind: 'paid', key, requestId, itemId };
};

describe('an order that awaits its payment', () => {
  test('shows what its page needs, opened for the amount of the order, and until when', async () => {
    const { order, key } = await anAwaitingOrder();
    const { status, body } = await read(order.requestId);
    expect(status).toBe(200);
    expect(body).toMatchObject({ status: 'awaiting-payment', payment_id: null, finished_at: null });
    const { pay_by: payBy, url } = body['payment'] as Record<string, string>;
    expect(url).toBe(`https://pay.example/${key}`);
    expect(Date.parse(payBy ?? '') - Date.now()).toBeGreaterThan(50_000);
    expect(money.amountOf(key)).toBe(1000);
    const states = (body['timeline'] as { state: string }[]).map(({ state }) => state);
    expect(states).toEqual(['held', 'queued', 'reserved', 'awaiting-payment']);
  });

  test('shows it nowhere else', async () => {
    const { order } = await anAwaitingOrder();
    const { requestId, itemId } = order;
    const again = await buy(open, { ...PURCHASE, item_id: itemId, request_id: requestId });
    expect(again).toMatchObject({ status: 409, body: { order: { status: 'awaiting-payment' } } });
    const events = await fetch(`${open.url}/orders/${requestId}/events`);
    const first = (await events.body?.getReader().read()) as { value?: Uint8Array } | undefined;
    const list = await fetch(`${open.url}/orders?item_id=${itemId}&user_id=u1`);
    const texts = [
      JSON.stringify(again.body),
      Buffer.from(first?.value ?? []).toString(),
      await list.text(),
    ];
    expect(texts[1]).toContain('awaiting-payment');
    for (const text of texts) expect(text).not.toContain('pay.example');
    expect(JSON.stringify(open.logged)).not.toContain('pay.example');
  });

  test('shows nothing to pay with after its deadline, and while its cancellation is under way', async () => {
    const late = await anAwaitingOrder(1);
    const cancelled = await anAwaitingOrder();
    await stock.ledger.cancel(cancelled.order);
    for (const { order, key } of [late, cancelled]) {
      const { body } = await read(order.requestId);
      expect(Object.keys(body['payment'] as object)).toEqual(['pay_by']);
      expect(money.amountOf(key)).toBeUndefined();
    }
  });

  test('is shown without its page while the provider has no answer', async () => {
    const { order } = await anAwaitingOrder();
    money.faultNext(() => {
      throw new Error('the provider is away');
    });
    const { status, body } = await read(order.requestId);
    expect(status).toBe(200);
    expect(Object.keys(body['payment'] as object)).toEqual(['pay_by']);
  });

  test('that was paid without a webhook is told to its run by whoever looks', async () => {
    const { order, key } = await anAwaitingOrder();
    await money.provider.checkout(orderCharge(order, 1));
    money.pay(key, 'approve');
    const { body } = await read(order.requestId);
    expect(Object.keys(body['payment'] as object)).toEqual(['pay_by']);
    await until(() => asked.length > 0);
    expect(asked).toEqual([key]);
  });

  test('asks the provider once a minute, however often its page looks', async () => {
    const { order, key } = await anAwaitingOrder();
    let calls = 0;
    money.faultNext(...Array.from({ length: 20 }, () => () => void (calls += 1)));
    await Promise.all(Array.from({ length: 10 }, () => read(order.requestId)));
    await read(order.requestId);
    expect(calls).toBe(1);
    expect(money.amountOf(key)).toBe(1000);
    for (; calls < 20;) await money.provider.find(key);
  });
});

describe('a webhook', () => {
  test('tells the run to ask, and confirms nothing by itself', async () => {
    const awaiting = await anAwaitingOrder();
    const { order, key } = awaiting;
    expect(await webhook({ hint: paid(awaiting) })).toMatchObject({
      status: 200,
      body: { outcome: 'run-asked' },
    });
    expect(asked).toEqual([key]);
    expect((await read(order.requestId)).body).toMatchObject({ status: 'awaiting-payment' });
  });

  test('with a wrong signature is refused', async () => {
    const awaiting = await anAwaitingOrder();
    const answer = await webhook({ hint: paid(awaiting) }, 'forged');
    expect(answer).toMatchObject({ status: 400, body: { detail: 'The signature is wrong.' } });
    expect(asked).toEqual([]);
  });

  test('gets 503 while the run cannot be told, so that the provider repeats it', async () => {
    const awaiting = await anAwaitingOrder();
    isAway = true;
    const answer = await webhook({ hint: paid(awaiting) });
    expect(answer).toMatchObject({ status: 503 });
    expect(answer.headers.get('retry-after')).not.toBeNull();
  });

  test('of a payment whose generation is over starts its refund; of one that has ended nothing', async () => {
    const awaiting = await anAwaitingOrder();
    await stock.ledger.release({ order: awaiting.order, fence: 2, reason: 'payment-deadline' });
    expect((await webhook({ hint: paid(awaiting) })).body).toEqual({ outcome: 'refund-started' });
    expect(refunds).toEqual([awaiting.key]);
    const ended = { ...paid(awaiting), kind: 'ended' };
    expect((await webhook({ hint: ended })).body).toEqual({ outcome: 'ignored' });
    expect(refunds).toHaveLength(1);
  });

  test('of a sold order, of nobody and without a hint changes nothing', async () => {
    const sold = await anAwaitingOrder();
    const { order } = sold;
    const paymentId = 'pay-1';
    await stock.ledger.confirm({ ...order, generation: 1, fence: 2, paymentId });
    expect((await webhook({ hint: paid(sold) })).body).toEqual({ outcome: 'ignored' });
    expect((await webhook({})).body).toEqual({ outcome: 'ignored' });
    const stranger = { ...paid(sold), key: `${order.requestId}:other:1` };
    expect((await webhook({ hint: stranger })).body).toEqual({ outcome: 'unknown-order' });
    expect([asked, refunds]).toEqual([[], []]);
  });

  test('of an order that only the archive has starts nothing if it was sold by it', async () => {
    const sold = {
      ...paid(await anAwaitingOrder()),
      requestId: 'archived-1',
      key: 'archived-1:a:1',
    };
    ends.set('archived-1', { status: 'confirmed', generation: 1 });
    expect((await webhook({ hint: sold })).body).toEqual({ outcome: 'ignored' });
    const earlier = { ...sold, key: 'archived-1:a:2' };
    expect((await webhook({ hint: earlier })).body).toEqual({ outcome: 'refund-started' });
  });

  test('of a refund that has failed starts it again where nothing is sold', async () => {
    const awaiting = await anAwaitingOrder();
    await stock.ledger.release({ order: awaiting.order, fence: 2, reason: 'sale-lost' });
    const hint = { ...paid(awaiting), kind: 'returns' };
    expect((await webhook({ hint })).body).toEqual({ outcome: 'refund-checked' });
    expect(refunds).toEqual([awaiting.key]);
  });

  test('of a refund or a dispute lets it be read, of an order that is known', async () => {
    const sold = await anAwaitingOrder();
    const { order } = sold;
    await stock.ledger.confirm({ ...order, generation: 1, fence: 2, paymentId: 'pay-1' });
    const hint = { ...paid(sold), kind: 'returns' };
    expect((await webhook({ hint })).body).toEqual({ outcome: 'returns-read' });
    const stranger = { ...hint, key: `${order.requestId}:other:1` };
    expect((await webhook({ hint: stranger })).body).toEqual({ outcome: 'unknown-order' });
    expect(readReturns).toEqual([order.requestId]);
  });

  test('larger than a purchase is read, and one of a megabyte is not', async () => {
    expect(await webhook({ filler: 'x'.repeat(100_000) })).toMatchObject({ status: 200 });
    expect(await webhook({ filler: 'x'.repeat(1_000_000) })).toMatchObject({ status: 413 });
  });
});
