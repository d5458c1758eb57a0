import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { itemKeys } from '../../engine/stock/keys';
import { databaseUrl, temporalAddress } from '../support/addresses';
import { expectBalance, whenIdle } from '../support/balance';
import { buy, insist, type BuyBody } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { anItem } from '../support/purchases';

let engine: Engine;
let connection: Connection;
let client: Client;
let database: pg.Client;
beforeAll(async () => {
  engine = await startEngine();
  await engine.startAnother('archiver');
  connection = await Connection.connect({ address: temporalAddress() });
  client = new Client({ connection });
  database = new pg.Client({ connectionString: databaseUrl() });
  await database.connect();
}, 90_000);
afterAll(async () => {
  await database.end();
  await connection.close();
  await engine.stop();
}, 60_000);

const SUPPLY = 40;
const BUYERS = 60;
/** So many are accepted when Redis loses everything. */
const ACCEPTED_BEFORE = 15;

const aCrowd = (itemId: string): BuyBody[] =>
  Array.from({ length: BUYERS }, (_, i) => ({
    user_id: `u${String(i)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${String(i)}`,
  }));

/** What a wiped Redis looks like to this item; the other tests of this run share the real one. */
async function wipe(itemId: string, crowd: readonly BuyBody[]): Promise<void> {
  const claims = crowd.map(({ request_id }) => `idempotency:${request_id}`);
  await engine.redis.del(...itemKeys(itemId as never), ...claims);
}

const countRuns = async (itemId: string, status: string) => {
  const query = `WorkflowType = 'orderWorkflow' AND ItemId = '${itemId}' AND ExecutionStatus = '${status}'`;
  return (await client.workflow.count(query)).count;
};

describe('a Redis that is wiped in mid-sale', () => {
  test('sells nothing until it is rebuilt, then goes on with what the workflows say, and nothing is oversold', async () => {
    const itemId = anItem();
    const crowd = aCrowd(itemId);
    await engine.redis.set(`inventory:${itemId}`, SUPPLY);
    // It opens the ledger. What Redis alone knows of the item is archived seconds later.
    const first = await insist(engine.gateway, crowd[0] as BuyBody);
    expect(first).toBe(true);
    await eventually('the opening is archived', async () => {
      const opened = "select from stock_changes where item_id = $1 and kind = 'opened'";
      return (await database.query(opened, [itemId])).rowCount === 1;
    });
    let accepted = 1;
    let wiping: Promise<void> | undefined;
    const burst = await Promise.all(
      crowd.slice(1).map(async (body) => {
        const answer = await buy(engine.gateway, body);
        if (answer.status === 202 && ++accepted === ACCEPTED_BEFORE) wiping = wipe(itemId, crowd);
        return answer;
      }),
    );
    await wiping;
    expect(accepted).toBeGreaterThanOrEqual(ACCEPTED_BEFORE);

    const stranger = { ...crowd[0], request_id: `${itemId}-stranger` } as BuyBody;
    const lost = { status: 503, body: { type: '/problems/not-accepted', ledger: 'lost' } };
    expect(await buy(engine.gateway, stranger)).toMatchObject(lost);
    await engine.redis.set(`inventory:${itemId}`, SUPPLY);
    expect(await buy(engine.gateway, stranger)).toMatchObject(lost);
    expect(await engine.redis.exists(`idempotency:${stranger.request_id}`)).toBe(0);

    const units = ['--why', 'Redis was wiped'];
    const rebuilt = await flashSale(engine, 'stock', 'rebuild', itemId, ...units, '--json');
    expect(rebuilt).toMatchObject({ code: 0, err: '' });
    const figures = rebuilt.json() as Record<string, number>;
    expect(figures).toMatchObject({ outcome: 'rebuilt', supply: SUPPLY });
    const log = await flashSale(engine, 'audit-log', '--item', itemId, '--json');
    expect(log.json()).toMatchObject([
      {
        action: 'stock.rebuild',
        why: 'Redis was wiped',
        outcome: 'done',
        before: { ledger: 'lost' },
        after: { supply: SUPPLY },
      },
    ]);
    const twice = await flashSale(engine, 'stock', 'rebuild', itemId, ...units);
    expect(twice).toMatchObject({ code: 1, err: expect.stringContaining('is not lost') as string });

    const decided = await Promise.all(crowd.map((body) => insist(engine.gateway, body)));
    const all = crowd.filter((_, i) => decided[i]);
    for (const [i, { status }] of burst.entries())
      if (status === 202) expect(decided[i + 1]).toBe(true);
    const { confirmed } = await expectBalance(engine, { itemId, supply: SUPPLY, accepted: all });
    await eventually(
      'no order is on its way',
      async () => (await countRuns(itemId, 'Running')) === 0,
    );
    await eventually(
      'as many runs are completed as orders are confirmed',
      async () => (await countRuns(itemId, 'Completed')) === confirmed,
    );
    const audit = await flashSale(engine, 'stock', 'audit', itemId, '--json');
    expect(audit.json()).toMatchObject({ differences: [] });
    expect(audit.code).toBe(0);
  }, 180_000);

  test('gives exactly the figures of the workflows when the item is idle', async () => {
    const itemId = anItem();
    const crowd = aCrowd(itemId).slice(0, 20);
    await engine.redis.set(`inventory:${itemId}`, SUPPLY);
    for (const { status } of await Promise.all(crowd.map((body) => buy(engine.gateway, body)))) {
      expect(status).toBe(202);
    }
    const before = await whenIdle(engine, itemId);
    const ordersBefore = await engine.redis.hkeys(`{inventory:${itemId}}:orders`);
    await wipe(itemId, crowd);
    const units = ['--supply', String(SUPPLY), '--no-archive', '--why', 'Redis was wiped'];
    expect(await flashSale(engine, 'stock', 'rebuild', itemId, ...units)).toMatchObject({
      code: 0,
    });
    expect(await whenIdle(engine, itemId)).toEqual(before);
    await eventually(
      'as many runs are completed as units are sold',
      async () => (await countRuns(itemId, 'Completed')) === before['sold'],
    );
    expect((await engine.redis.hkeys(`{inventory:${itemId}}:orders`)).sort()).toEqual(
      ordersBefore.sort(),
    );
    await expectBalance(engine, { itemId, supply: SUPPLY, accepted: crowd });
  }, 90_000);

  test('is sold on as it stands where an operator says so', async () => {
    const itemId = anItem();
    const [first, second] = aCrowd(itemId);
    if (!first || !second) throw new Error('no crowd');
    await engine.redis.set(`inventory:${itemId}`, 5);
    expect((await buy(engine.gateway, first)).status).toBe(202);
    await whenIdle(engine, itemId);
    await wipe(itemId, [first]);
    await engine.redis.set(`inventory:${itemId}`, 3);
    const opened = await flashSale(engine, 'stock', 'open', itemId, '--why', 'three are left');
    expect(opened).toMatchObject({ code: 0 });
    const log = await flashSale(engine, 'audit-log', '--item', itemId, '--json');
    expect(log.json()).toMatchObject([
      {
        action: 'stock.open',
        door: 'cli',
        why: 'three are left',
        outcome: 'done',
        before: { ledger: 'lost', free: 3 },
        after: { ledger: 'open', free: 3 },
      },
    ]);
    expect((await buy(engine.gateway, second)).status).toBe(202);
    expect(await whenIdle(engine, itemId)).toMatchObject({ supply: 3 });
  }, 60_000);
});
