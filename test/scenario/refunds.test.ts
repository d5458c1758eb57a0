/** A sale that is refunded, with all processes: the operator's door, the worker, the simulator, the archive. */
import { randomUUID } from 'node:crypto';
import { createTestArchive, type TestArchive } from '../support/archive';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';

jest.setTimeout(180_000);

const TOKEN = 'a-token-of-some-length';
const ITEM = `refunded-${randomUUID().slice(0, 8)}`;

let archive: TestArchive;
let engine: Engine;
beforeAll(async () => {
  archive = await createTestArchive();
  engine = await startEngine({
    DATABASE_URL: archive.url,
    PAYMENT_DECLINE_RATE: '0',
    OPERATOR_TOKEN: TOKEN,
  });
  process.env['FLASH_SALE_OPERATOR_TOKEN'] = TOKEN;
  await engine.startAnother('archiver');
  await engine.redis.set(`inventory:${ITEM}`, 5);
}, 180_000);
afterAll(async () => {
  await engine.stop();
  await archive.drop();
}, 60_000);

test('gives its money and its units back once, and shows it to buyer and operators', async () => {
  const requestId = `req-${randomUUID()}`;
  const operator = ['--admin-url', engine.admin, '--json'];
  const bought = ['--item', ITEM, '--user', 'u1', '--amount', '2', '--request-id', requestId];
  expect((await flashSale(engine, 'buy', ...bought, '--wait')).code).toBe(0);

  const why = ['--why', 'returned', '--operation-id', 'op-1'];
  const some = ['--amount', '2.50', '--restock', '1'];
  const refund = () => flashSale(engine, 'refund', requestId, ...some, ...why, ...operator);
  const given = { status: 'succeeded', amount_minor: 250, currency: 'USD', restocked: 1 };
  for (let i = 0; i < 2; i++) {
    const { code, json } = await refund();
    expect({ code, body: json() }).toMatchObject({ code: 0, body: given });
  }
  const reused = await flashSale(engine, 'refund', requestId, ...why, ...operator);
  expect([reused.code, reused.err]).toEqual([1, expect.stringContaining('asked for something')]);

  const order = await (await fetch(`${engine.gateway}/orders/${requestId}`)).json();
  expect(order).toMatchObject({
    status: 'confirmed',
    total_minor: 2_000,
    refunded_minor: 250,
    refunds: [{ operation_id: 'op-1', amount_minor: 250, status: 'succeeded' }],
  });
  const item = await (await fetch(`${engine.gateway}/items/${ITEM}`)).json();
  expect(item).toMatchObject({ free: 4, sold: 2, supply: 6 });
  await eventually('the archive has it', async () => {
    const { json } = await flashSale(
      engine,
      'orders',
      'search',
      '--request-id',
      requestId,
      ...operator,
    );
    const [found] = json() as { refunded_minor: number; restocked: number }[];
    return found?.refunded_minor === 250 && found.restocked === 1;
  });
});
