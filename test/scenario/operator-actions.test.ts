import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatCredentials } from '../../engine/operators/credentials';
import { createSellingSwitch, SELLING_KEY } from '../../engine/stock/selling-switch';
import type { LoggedAction } from '../../engine/operators/action-log';
import { buy, getJson, insist } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { anItem } from '../support/purchases';
import { createTestComponents, type TestComponents } from '../support/secured/test-components';
import { startRedis } from '../../stack/components/redis';

/** Each command is a process of its own, and takes seconds on a busy machine. */
jest.setTimeout(180_000);

const folder = mkdtempSync(join(tmpdir(), 'operators-'));
const file = join(folder, 'operators.json');

/** A Redis of this file alone: a stop of all selling would stop the other tests. */
let own: TestComponents;
let engine: Engine;
beforeAll(async () => {
  own = await createTestComponents('operators');
  const { address } = await startRedis(own.context);
  writeFileSync(file, formatCredentials([]));
  engine = await startEngine({
    OPERATORS_FILE: file,
    API_PROCESSES: '2',
    REDIS_ADDR: address,
    // A declined order would give its unit back.
    PAYMENT_DECLINE_RATE: '0',
  });
}, 90_000);
afterAll(async () => {
  await engine.stop();
  await own.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

async function send(token: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${engine.admin}/operator${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** How many lines of the gateway's log have all of these words. Each of its processes writes its own. */
function linesWith(...words: string[]): number {
  const lines = readFileSync(engine.logFile('api'), 'utf8').split('\n');
  return lines.filter((line) => words.every((word) => line.includes(word))).length;
}

/** Both gateway processes have read the file since the credential was added to it, or removed from it. */
const isReadTwice = (id: string, reads: number) =>
  eventually(`${id} was seen ${reads} times`, () =>
    Promise.resolve(linesWith('the credentials of operators have changed', id) === reads),
  );

async function aCredential(name: string, role: 'read' | 'operate') {
  const words = ['operator', 'add', name, '--role', role, '--file', file, '--json'];
  const added = (await flashSale(engine, ...words)).json() as { id: string; token: string };
  await isReadTwice(added.id, 2);
  return added;
}

const actionsOf = async (itemId: string, ...words: string[]) => {
  const listed = await flashSale(engine, 'audit-log', '--item', itemId, '--json', ...words);
  expect(listed.code).toBe(0);
  return listed.json() as LoggedAction[];
};

test('what operators do by HTTP and at the command line is in one record, by name', async () => {
  const itemId = anItem();
  const ann = (await aCredential('ann', 'operate')).token;
  const restock = { units: 5, operation_id: 'op', why: 'a late delivery' };
  expect((await send(ann, 'POST', `/items/${itemId}/restock`, restock)).status).toBe(200);
  const why = ['--by', 'bob', '--why', 'dearer'];
  expect(
    (await flashSale(engine, 'sale', 'set', itemId, '--price-minor', '250', ...why)).code,
  ).toBe(0);
  expect((await flashSale(engine, 'stock', 'set', itemId, '9', '--expect', '7')).code).toBe(1);

  expect(await actionsOf(itemId)).toMatchObject([
    {
      action: 'stock.restock',
      by: 'ann',
      role: 'operate',
      door: 'http',
      why: 'a late delivery',
      outcome: 'done',
      before: null,
      after: { free: 5, supply: 5 },
    },
    {
      action: 'sale.change',
      by: 'bob',
      role: null,
      door: 'cli',
      why: 'dearer',
      outcome: 'done',
      before: {},
      after: { price: '250' },
    },
    { action: 'stock.restock', door: 'cli', outcome: 'refused', detail: 'stale' },
  ]);
  expect(await actionsOf(itemId, '--by', 'bob')).toMatchObject([{ by: 'bob' }]);
});

test('a credential that is removed is refused by every process, without a restart', async () => {
  const { id, token: eve } = await aCredential('eve', 'read');
  const restock = { units: 1, operation_id: 'x' };
  const refused = await send(eve, 'POST', '/items/101/restock', restock);
  expect([refused.status, refused.body['type']]).toEqual([403, '/problems/forbidden']);
  expect((await flashSale(engine, 'operator', 'remove', 'eve', '--file', file)).code).toBe(0);
  await isReadTwice(id, 4);
  expect((await send(eve, 'GET', '/items/101')).status).toBe(401);
});

test('a stop of all selling holds in every process and over a restart, until it is undone', async () => {
  const itemId = anItem();
  expect((await flashSale(engine, 'stock', 'add', itemId, '50')).code).toBe(0);
  const purchase = (n: number) => ({
    user_id: `u${String(n)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${String(n)}`,
  });
  expect(await insist(engine.gateway, purchase(0))).toBe(true);
  /** On connections of their own, so that both processes come to answer. */
  const crowd = async () => {
    const answers = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => buy(engine.gateway, purchase(n)));
    return (await Promise.all(answers)).map(({ status, body }) => body['type'] ?? status);
  };
  const isFollowedTwice = (said: string, lines: number) =>
    eventually(`both say that ${said}`, () => Promise.resolve(linesWith(said) === lines));

  const stop = ['sale', 'stop-all', '--by', 'bob', '--why', 'the price is wrong', '--json'];
  expect((await flashSale(engine, ...stop)).json()).toMatchObject({ recorded: true });
  await isFollowedTwice('all selling is stopped', 2);
  expect(await crowd()).toEqual(Array.from({ length: 8 }, () => '/problems/selling-stopped'));
  await engine.process.api.restart();
  expect(await crowd()).toEqual(Array.from({ length: 8 }, () => '/problems/selling-stopped'));
  expect(await getJson(`${engine.gateway}/items/${itemId}`)).toMatchObject({
    selling_stopped: true,
    free: 49,
    held: 0,
  });
  expect(JSON.stringify(await getJson(`${engine.admin}/readyz`))).toContain('selling is stopped');
  const metrics = await (await fetch(`${engine.admin}/metrics`)).text();
  expect(metrics).toMatch(/^flash_sale_selling_stopped 1$/m);

  const ann = (await aCredential('ann-2', 'operate')).token;
  expect((await send(ann, 'GET', '/selling')).body).toMatchObject({ stopped: true, by: 'bob' });
  expect((await send(ann, 'POST', '/selling/resume', {})).status).toBe(200);
  await isFollowedTwice('selling goes on', 2);
  expect(await crowd()).toEqual(Array.from({ length: 8 }, () => 202));

  const log = (await flashSale(engine, 'audit-log', '--json')).json() as LoggedAction[];
  expect(log.filter(({ action }) => action.startsWith('selling.'))).toMatchObject([
    { action: 'selling.stop', by: 'bob', door: 'cli', why: 'the price is wrong', outcome: 'done' },
    { action: 'selling.resume', by: 'ann-2', door: 'http', before: { stopped: true, by: 'bob' } },
  ]);
});

test('a stop that Redis has lost while no gateway ran is found in the record of what operators do', async () => {
  await flashSale(engine, 'sale', 'resume-all');
  const before = (await engine.redis.get(SELLING_KEY)) ?? '';
  const stop = ['sale', 'stop-all', '--by', 'bob', '--why', 'again', '--json'];
  expect((await flashSale(engine, ...stop)).json()).toMatchObject({ recorded: true });
  const theSwitch = createSellingSwitch(engine.redis);
  const stopped = await theSwitch.read();
  expect(stopped).toMatchObject({ stopped: true, why: 'again' });
  for (const older of [before, undefined]) {
    await engine.process.api.stop();
    if (older === undefined) await engine.redis.del(SELLING_KEY);
    else await engine.redis.set(SELLING_KEY, older);
    await engine.process.api.restart();
    const purchase = { user_id: 'u', item_id: '101', amount: 1, request_id: anItem() };
    const refused = await buy(engine.gateway, purchase);
    expect([refused.status, refused.body['type']]).toEqual([503, '/problems/selling-stopped']);
    await eventually('Redis has the stop again', async () => {
      const found = await theSwitch.read().catch(() => undefined);
      return found?.revision === stopped?.revision;
    });
  }
});
