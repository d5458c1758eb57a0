import { Client, Connection } from '@temporalio/client';
import { auditScheduleId } from '../../engine/reconciliation/audit-stock';
import { countsKey } from '../../engine/stock/keys';
import { temporalAddress } from '../support/addresses';
import { whenIdle } from '../support/balance';
import { buy } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { anItem } from '../support/purchases';

let engine: Engine;
let connection: Connection;
beforeAll(async () => {
  engine = await startEngine({ AUDIT_EVERY: '1' });
  connection = await Connection.connect({ address: temporalAddress() });
}, 90_000);
afterAll(async () => {
  const { schedule } = new Client({ connection });
  await schedule.getHandle(auditScheduleId(engine.taskQueue)).delete();
  await connection.close();
  await engine.stop();
}, 60_000);

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${engine.process.worker.url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`the worker has no metric ${name}`);
  return Number(line.slice(name.length));
}

const counts = 'ledger_differences{kind="counts"}';
const isMetric = (name: string, value: number) =>
  eventually(`${name} is ${value}`, async () => (await metric(name)) === value, 30_000);

describe('the audit of all items', () => {
  test('runs by itself, shows a difference in the metrics, and shows it mended', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 3);
    const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-1` };
    expect((await buy(engine.gateway, body)).status).toBe(202);
    await whenIdle(engine, itemId);
    await isMetric('ledger_audit_items', 1);
    await isMetric(counts, 0);

    await engine.redis.hincrby(countsKey(itemId), 'queued', 5);
    await isMetric(counts, 1);
    const audit = await flashSale(engine, 'stock', 'audit', itemId, '--json');
    expect(audit.code).toBe(1);
    expect(audit.json()).toMatchObject({ differences: [{ kind: 'counts', there: 'queued is 5' }] });

    const mended = await flashSale(engine, 'stock', 'audit', itemId, '--repair', '--json');
    expect(mended.code).toBe(0);
    expect(mended.json()).toMatchObject({ differences: [], repaired: [{ kind: 'counts' }] });
    const log = await flashSale(engine, 'audit-log', '--item', itemId, '--json');
    expect(log.json()).toMatchObject([
      { action: 'stock.repair', outcome: 'done', before: [{ kind: 'counts' }], after: [] },
    ]);
    await isMetric(counts, 0);
  }, 120_000);

  test('is a plain no for an item that nobody ever sold', async () => {
    const ran = await flashSale(engine, 'stock', 'audit', 'no-such-item');
    expect(ran).toMatchObject({ code: 1, out: '' });
    expect(ran.err).toContain('Nothing is sold under no-such-item');
  });

  test('refuses what is no item id', async () => {
    expect(await flashSale(engine, 'stock', 'audit', "x' OR 'a'='a")).toMatchObject({ code: 2 });
  });
});
