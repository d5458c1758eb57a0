import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { createKafka } from '../../engine/kafka/kafka-client';
import { withAdmin } from '../../engine/kafka/topics';
import { readCharges } from '../../client/snapshot';
import { kafkaAddrs, temporalAddress } from '../support/addresses';
import { expectBalance } from '../support/balance';
import { buy, getJson } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { anItem } from '../support/purchases';

let engine: Engine;
let connection: Connection;
beforeAll(async () => {
  engine = await startEngine();
  connection = await Connection.connect({ address: temporalAddress() });
}, 90_000);
afterAll(async () => {
  await connection.close();
  await engine.stop();
}, 60_000);

const dlq = (...words: string[]) => flashSale(engine, 'dlq', ...words, '--json');
const RENEWED = ['--why', 'the card was renewed'];

/** What the provider does with every charge from now on. */
async function provider(verdict: 'declines' | 'accepts'): Promise<void> {
  const body = JSON.stringify({ declineRate: verdict === 'declines' ? 1 : 0 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${engine.payments}/misbehaviour`, { method: 'PUT', headers, body });
  expect(answer.status).toBe(200);
}

async function becomes(requestId: string, status: 'confirmed' | 'failed'): Promise<void> {
  await eventually(`${requestId} is ${status}`, async () => {
    const found = await getJson(`${engine.gateway}/orders/${requestId}`);
    return found['status'] === status;
  });
}

/** An order of one unit that the provider has declined, and whose letter is there. */
async function aDeclinedOrder() {
  const itemId = anItem();
  await engine.redis.set(`inventory:${itemId}`, 3);
  await provider('declines');
  const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-1` };
  expect((await buy(engine.gateway, body)).status).toBe(202);
  await becomes(body.request_id, 'failed');
  const letters = () => lettersOf(itemId);
  await eventually('the run has ended', async () => (await runsOf(body.request_id)).some(isOver));
  expect(await letters()).toMatchObject([{ request_id: body.request_id, state: 'open' }]);
  return { itemId, requestId: body.request_id, sale: { itemId, supply: 3, accepted: [body] } };
}

async function lettersOf(itemId: string, ...words: string[]): Promise<unknown[]> {
  const ran = await dlq('ls', '--item', itemId, ...words);
  return ran.json() as unknown[];
}

async function runsOf(requestId: string) {
  const runs = [];
  const query = `WorkflowId = '${requestId}'`;
  for await (const run of new Client({ connection }).workflow.list({ query })) runs.push(run);
  return runs;
}
const isOver = ({ status }: { status: { name: string } }) => status.name !== 'RUNNING';

describe('a declined order', () => {
  test('that is replayed once the provider accepts is confirmed, with one captured charge and the reason on its run', async () => {
    const { itemId, requestId, sale } = await aDeclinedOrder();
    await provider('accepts');

    const dry = await dlq('replay', requestId, '--dry-run');
    expect(dry.json()).toMatchObject({ orders: [{ outcome: 'would-start' }] });
    expect(await runsOf(requestId)).toHaveLength(1);

    const ran = await dlq('replay', requestId, ...RENEWED);
    expect(ran.json()).toMatchObject({ orders: [{ request_id: requestId, outcome: 'started' }] });
    expect(ran.code).toBe(0);
    await becomes(requestId, 'confirmed');
    await expectBalance(engine, sale);
    const charges = await readCharges(engine.payments, `${requestId}:`);
    const generations = charges.map(({ key, status }) => `${key.split(':')[2] ?? ''} ${status}`);
    expect(generations.sort()).toEqual(['1 declined', '2 captured']);
    const { memo } = await new Client({ connection }).workflow.getHandle(requestId).describe();
    expect(memo).toMatchObject({ replay: { why: 'the card was renewed' } });
    expect(await lettersOf(itemId)).toEqual([]);
    expect(await lettersOf(itemId, '--all')).toMatchObject([
      { state: 'replayed', marks: [{ why: 'the card was renewed' }] },
    ]);
  });

  test('that two operators replay at once gets one new run', async () => {
    const { requestId, sale } = await aDeclinedOrder();
    await provider('accepts');
    const both = await Promise.all([1, 2].map(() => dlq('replay', requestId, ...RENEWED)));
    const outcomes = both.map((ran) => (ran.json() as { orders: [{ outcome: string }] }).orders[0]);
    expect(outcomes.filter(({ outcome }) => outcome === 'started')).toHaveLength(1);
    await becomes(requestId, 'confirmed');
    await eventually('two runs are listed', async () => (await runsOf(requestId)).length >= 2);
    expect(await runsOf(requestId)).toHaveLength(2);
    await expectBalance(engine, sale);
  });

  test('that fails again has a new letter, and only that one is open', async () => {
    const { itemId, requestId } = await aDeclinedOrder();
    await dlq('replay', requestId, ...RENEWED);
    await eventually('its second letter', async () => {
      const letters = await lettersOf(itemId, '--all');
      return letters.length === 2;
    });
    expect(await lettersOf(itemId)).toMatchObject([{ generation: 2, state: 'open' }]);
  });

  test('that has been sold since by a reset is left alone, and its letter is dealt with', async () => {
    const { itemId, requestId, sale } = await aDeclinedOrder();
    await provider('accepts');
    await resetToFirstTask(requestId);
    await becomes(requestId, 'confirmed');
    await eventually('both runs have ended', async () => {
      const ended = (await runsOf(requestId)).filter(isOver);
      return ended.length === 2;
    });
    const ran = await flashSale(engine, 'dlq', 'replay', requestId, ...RENEWED);
    expect(ran).toMatchObject({ code: 0, err: '' });
    expect(ran.out).toContain('it has been sold since: nothing was done');
    expect(await runsOf(requestId)).toHaveLength(2);
    await expectBalance(engine, sale);
    expect(await lettersOf(itemId)).toEqual([]);
  });

  test('that is discarded does not show any more, and is not replayed without --all', async () => {
    const { itemId, requestId } = await aDeclinedOrder();
    const ran = await dlq('discard', requestId, '--why', 'the buyer has gone');
    expect(ran.json()).toMatchObject([{ request_id: requestId, outcome: 'discarded' }]);
    expect(await lettersOf(itemId)).toEqual([]);
    const refused = await dlq('replay', requestId, ...RENEWED);
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(refused.err).toContain('the buyer has gone');
    expect(await runsOf(requestId)).toHaveLength(1);
    const shown = await dlq('show', requestId);
    const [letter] = shown.json() as { state: string; value: string }[];
    expect(letter?.state).toBe('discarded');
    expect(letter?.value).toContain(`"request_id":"${requestId}"`);
  });
});

describe('a record that is no order', () => {
  test('is refused with a bad file, and sold once it is mended', async () => {
    const itemId = anItem();
    const requestId = `${itemId}-poison`;
    await engine.redis.set(`inventory:${itemId}`, 1);
    await provider('accepts');
    const record = {
      v: 1,
      request_id: requestId,
      user_id: 'u1',
      item_id: itemId,
      amount: 'one',
      price_minor: 1000,
      currency: 'USD',
      accepted_at: Date.now(),
    };
    await appendByHand(JSON.stringify({ ...record, fingerprint: 'none' }));
    await eventually('its letter', async () => (await lettersOf(itemId)).length === 1);
    const before = await ends();

    const plain = await dlq('replay', requestId, '--why', 'again');
    expect(plain.code).toBe(1);
    expect(plain.json()).toMatchObject({ orders: [{ outcome: 'needs-mending' }] });
    const mend = (fields: object) => {
      const file = join(tmpdir(), `${itemId}.json`);
      writeFileSync(file, JSON.stringify({ ...record, amount: 1, ...fields }, null, 2));
      const replayed = dlq('replay', requestId, '--mended', file, '--why', 'amount was a word');
      return replayed.finally(() => {
        rmSync(file);
      });
    };
    const bad = [await mend({ amount: 'two' }), await mend({ request_id: 'another' })];
    expect(bad.map(({ code, out }) => [code, out])).toEqual([
      [2, ''],
      [2, ''],
    ]);
    expect(bad[0]?.err).toMatch(/is no order: \/amount.*Nothing was changed/);
    expect(bad[1]?.err).toMatch(/is the order another, but the letter .* Nothing was changed/);
    const claim = `idempotency:${requestId}`;
    await engine.redis.set(claim, 'another request');
    const taken = await mend({});
    expect(taken.json()).toMatchObject({ orders: [{ outcome: 'other-order' }] });
    await engine.redis.del(claim);
    expect(await ends()).toEqual(before);

    const mended = await mend({});
    expect(mended.json()).toMatchObject({ orders: [{ outcome: 'appended' }] });
    await becomes(requestId, 'confirmed');
    const accepted = [{ request_id: requestId, amount: 1 }];
    await expectBalance(engine, { itemId, supply: 1, accepted });
    expect(await lettersOf(itemId)).toEqual([]);
  });
});

async function resetToFirstTask(workflowId: string): Promise<void> {
  const client = new Client({ connection });
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const first = events?.find(({ workflowTaskCompletedEventAttributes: done }) => done);
  await client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId },
    workflowTaskFinishEventId: first?.eventId ?? null,
    requestId: workflowId,
    reason: 'test',
  });
}

async function appendByHand(value: string): Promise<void> {
  const producer = createKafka('test', kafkaAddrs()).producer();
  await producer.connect();
  await producer.send({ topic: engine.topics.ordersTopic, messages: [{ key: 'x', value }] });
  await producer.disconnect();
}

/** Where both logs end. */
async function ends(): Promise<string[]> {
  const { ordersTopic, deadLetterTopic } = engine.topics;
  const offsets = await withAdmin(createKafka('test', kafkaAddrs()), async (admin) =>
    Promise.all([ordersTopic, deadLetterTopic].map((topic) => admin.fetchTopicOffsets(topic))),
  );
  return offsets.flat().map(({ partition, high }) => `${String(partition)}:${high}`);
}
