import { Client, Connection } from '@temporalio/client';
import { createKafka } from '../../engine/kafka/kafka-client';
import { readDeadLetters } from '../../engine/kafka/dead-letters';
import { readOrderEvents } from '../../engine/kafka/read-log';
import { withAdmin } from '../../engine/kafka/topics';
import { kafkaAddrs, temporalAddress } from '../support/addresses';
import { expectBalance } from '../support/balance';
import { buy, getJson } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { anItem } from '../support/purchases';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
}, 90_000);
afterAll(() => engine.stop(), 60_000);

const order = (id: string) => getJson(`${engine.gateway}/orders/${id}`);
const isFinal = (id: string) =>
  eventually(`${id} is final`, async () => {
    const found = await order(id);
    return (found['status'] === 'confirmed' || found['status'] === 'failed') && found;
  });

describe('one order', () => {
  test('goes from 202 to confirmed, and can be traced in Temporal by its request_id', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 5);
    const warm = { user_id: 'u1', item_id: itemId, amount: 2, request_id: `${itemId}-warm` };
    await buy(engine.gateway, warm);
    await isFinal(warm.request_id);

    // The simulator's decline is drawn from the key, so some id among a few is sure to be charged.
    const outcomes = await Promise.all(
      ['a', 'b', 'c'].map(async (letter) => {
        const request_id = `${itemId}-${letter}`;
        const answer = await buy(engine.gateway, { ...warm, amount: 1, request_id });
        expect(answer.status).toBe(202);
        const found = await isFinal(request_id);
        return { request_id, found };
      }),
    );
    const sold = outcomes.find(({ found }) => found['status'] === 'confirmed');
    if (!sold) throw new Error('the simulator has declined three of three');

    const connection = await Connection.connect({ address: temporalAddress() });
    try {
      const handle = new Client({ connection }).workflow.getHandle(sold.request_id);
      // The ledger says that an order is sold a moment before the server says that its run is over.
      await handle.result();
      const described = await handle.describe();
      expect(described.status.name).toBe('COMPLETED');
      expect(await described.staticSummary()).toBe(`${itemId} ×1 for u1`);
      const attributes = Object.fromEntries(
        described.typedSearchAttributes.getAll().map(({ key, value }) => [key.name, value]),
      );
      expect(attributes).toMatchObject({ ItemId: itemId, UserId: 'u1' });
      const { events } = await handle.fetchHistory();
      const summaries = (events ?? []).flatMap(({ userMetadata }) =>
        userMetadata?.summary?.data ? [Buffer.from(userMetadata.summary.data).toString()] : [],
      );
      expect(summaries.join('\n')).toContain('×1 for 1000 USD (minor units)');
    } finally {
      await connection.close();
    }
  });

  test('sent twice is 202, then 409 with the order that the first one made', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 5);
    const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-1` };
    expect((await buy(engine.gateway, body)).status).toBe(202);
    const second = await buy(engine.gateway, body);
    expect(second).toMatchObject({
      status: 409,
      body: { type: '/problems/duplicate-request', order: { request_id: body.request_id } },
    });
    expect(await engine.redis.get(`inventory:${itemId}`)).toBe('4');
  });
});

describe('a crowd of 1,000 for 100 units, of whom a tenth cannot pay', () => {
  test('gets each unit sold at most once, and nobody pays without one', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 100);
    const crowd = Array.from({ length: 1_000 }, (_, i) => ({
      user_id: `u${String(i)}`,
      item_id: itemId,
      amount: 1 + (i % 3),
      request_id: `${itemId}-${String(i)}`,
    }));
    const answers = await Promise.all(crowd.map((body) => buy(engine.gateway, body)));
    const accepted = crowd.filter((_, i) => answers[i]?.status === 202);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202, 409]));
    const units = accepted.reduce((sum, { amount }) => sum + amount, 0);
    // At least all that fits; more when declined orders gave units back while the crowd was still buying.
    expect(units).toBeGreaterThan(97);

    const { failed } = await expectBalance(engine, { itemId, supply: 100, accepted });
    const kafka = createKafka('test', kafkaAddrs());
    const lettersOfThisSale = async () => {
      const letters = await readDeadLetters(kafka, engine.topics.deadLetterTopic);
      return letters.filter((letter) => letter.itemId === itemId);
    };
    // The ledger is at rest before the last letters are written: giving back comes first in the saga.
    await eventually(
      'every failed order has its letter',
      async () => (await lettersOfThisSale()).length >= failed,
    );
    const ofThisSale = await lettersOfThisSale();
    expect(ofThisSale).toHaveLength(failed);
    expect(ofThisSale.every(({ reason }) => reason === 'payment-declined')).toBe(true);

    const told = new Map<string, string>();
    await eventually('other systems are told of every order', async () => {
      await readOrderEvents(kafka, engine.topics.orderEventsTopic, {}, (event) => {
        if (event.order.itemId === itemId && 'status' in event)
          told.set(event.order.requestId, event.status);
      });
      return told.size >= accepted.length;
    });
    const statuses = await Promise.all(
      accepted.map(async ({ request_id }) => [request_id, (await order(request_id))['status']]),
    );
    expect(Object.fromEntries(told)).toEqual(Object.fromEntries(statuses));
  }, 120_000);
});

describe('bad input', () => {
  const valid = { user_id: 'u1', item_id: '101', amount: 1, request_id: 'bad-1' };
  const BAD: [string, string | Buffer, string, number][] = [
    ['malformed JSON', '{"user_id":', 'application/json', 400],
    ['an empty body', '', 'application/json', 400],
    ['a wrong type', JSON.stringify({ ...valid, amount: '1' }), 'application/json', 400],
    ['a missing field', JSON.stringify({ ...valid, item_id: undefined }), 'application/json', 400],
    ['a negative amount', JSON.stringify({ ...valid, amount: -1 }), 'application/json', 400],
    ['a huge amount', JSON.stringify({ ...valid, amount: 1e12 }), 'application/json', 400],
    ['an unknown field', JSON.stringify({ ...valid, price: 1 }), 'application/json', 400],
    [
      'an over-long id',
      JSON.stringify({ ...valid, request_id: 'x'.repeat(500) }),
      'application/json',
      400,
    ],
    ['another content type', JSON.stringify(valid), 'text/plain', 415],
    ['a body of 10 MB', Buffer.alloc(10_000_000, 'x'), 'application/json', 413],
  ];

  test.each(BAD)('%s is a clear problem and leaves no trace', async (_name, body, type, status) => {
    await engine.redis.set('inventory:101', 5);
    const traces = async () => ({
      keys: (await engine.redis.keys('*101*')).concat(await engine.redis.keys('*bad-1*')).sort(),
      free: await engine.redis.get('inventory:101'),
      offsets: await ordersOffsets(),
    });
    const before = await traces();
    const answer = await buy(engine.gateway, body, type);
    // A body that is cut off at the cap may end its connection before the answer is read.
    if (status === 413) expect([413, 0]).toContain(answer.status);
    else expect(answer.status).toBe(status);
    expect(await traces()).toEqual(before);
  });

  const BROKEN: [string, (itemId: string) => Promise<unknown>][] = [
    ['a stock that is no number', (itemId) => engine.redis.set(`inventory:${itemId}`, 'plenty')],
    ['a price that is no number', (itemId) => writeSale(itemId, { price: '9,99' })],
    ['an opening that is no time', (itemId) => writeSale(itemId, { opens_at: 'tomorrow' })],
  ];

  test.each(BROKEN)('of an operator, %s: 503 until it is mended', async (_name, spoil) => {
    const itemId = anItem();
    const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-1` };
    await engine.redis.set(`inventory:${itemId}`, 2);
    await spoil(itemId);
    const refused = await buy(engine.gateway, body);
    expect([refused.status, refused.body['type']]).toEqual([503, '/problems/not-accepted']);
    expect((await getJson(`${engine.gateway}/items/${itemId}`))['status']).toBe(503);

    await engine.redis.del(`{inventory:${itemId}}:sale`);
    await engine.redis.set(`inventory:${itemId}`, 2);
    // The refusal has burnt nothing: the id is free for another amount.
    expect((await buy(engine.gateway, { ...body, amount: 2 })).status).toBe(202);
    await isFinal(body.request_id);
  });

  const writeSale = (itemId: string, fields: Record<string, string>) =>
    engine.redis.hset(`{inventory:${itemId}}:sale`, fields);

  test('in the log goes to the dead letters, and the order behind it is sold', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 1);
    const kafka = createKafka('test', kafkaAddrs());
    const producer = kafka.producer();
    await producer.connect();
    const record = { key: 'x', value: `not an order of ${itemId}`, partition: 0 };
    const messages = Array.from({ length: 6 }, (_, partition) => ({ ...record, partition }));
    await producer.send({ topic: engine.topics.ordersTopic, messages });
    await producer.disconnect();
    const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-behind` };
    expect((await buy(engine.gateway, body)).status).toBe(202);
    await isFinal(body.request_id);
    // The order waits for the record before it in its own partition only, so the other five may be set aside later.
    const foreign = await eventually('six dead letters', async () => {
      const letters = await readDeadLetters(kafka, engine.topics.deadLetterTopic);
      const found = letters.filter(({ value }) => value.toString() === record.value);
      return found.length >= 6 && found;
    });
    expect(foreign).toHaveLength(6);
    expect(foreign[0]).toMatchObject({ reason: 'invalid-record' });
  });

  async function ordersOffsets() {
    const kafka = createKafka('test', kafkaAddrs());
    const offsets = await withAdmin(kafka, (admin) =>
      admin.fetchTopicOffsets(engine.topics.ordersTopic),
    );
    return offsets.map(({ partition, high }) => `${String(partition)}:${high}`).sort();
  }
});
