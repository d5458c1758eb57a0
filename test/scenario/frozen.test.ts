import { endLeases } from '../support/end-leases';
import { redisAddr } from '../support/addresses';
import { openResponseGate, type ResponseGate } from '../support/response-gate';
import { expectBalance } from '../support/balance';
import { buy, getJson, insist, type BuyBody } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { anItem } from '../support/purchases';
import { redisStockOn } from '../support/redis-stock';
import type { ItemId } from '../../engine/orders/order';

let gate: ResponseGate;
let engine: Engine;
beforeAll(async () => {
  gate = await openResponseGate(redisAddr().replace('redis://', ''));
  engine = await startEngine({ REDIS_ADDR: gate.address, PAYMENT_DECLINE_RATE: '0' });
}, 120_000);
afterAll(async () => {
  await engine.stop();
  await gate.close();
}, 90_000);

const SUPPLY = 20;

/** Puts an item on sale whose ledger is open: what is held back is to be the answer of a hold. */
const open = (itemId: ItemId, units: number) => redisStockOn(engine.redis).setFree(itemId, units);

const crowdOf = (itemId: string, name: string, size: number): BuyBody[] =>
  Array.from({ length: size }, (_, i) => ({
    user_id: `u${String(i)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${name}-${String(i)}`,
  }));

describe('a gateway that is frozen between its holds and their answers, for longer than the leases', () => {
  test('accepts nothing when it goes on, and no unit that went to another buyer is sold twice', async () => {
    const itemId = anItem();
    await open(itemId, SUPPLY);
    const { url } = await engine.startAnother('api', { REDIS_ADDR: redisAddr().slice(8) });
    const frozen = engine.process.api;
    const early = crowdOf(itemId, 'early', SUPPLY);
    const late = crowdOf(itemId, 'late', SUPPLY);

    // Its first use asks whether Redis knows the scripts; what is held back is to be the answer of a script.
    const warm = anItem();
    await open(warm, 1);
    const [first] = crowdOf(warm, 'warm', 1);
    if (first) expect((await buy(frozen.url, first)).status).toBe(202);

    gate.hold();
    const answers = early.map((body) => buy(frozen.url, body));
    await eventually('every unit is held', async () => {
      return Number((await getJson(`${url}/items/${itemId}`))['held']) === SUPPLY;
    });
    await frozen.kill('SIGSTOP');
    gate.letThrough();
    await endLeases(engine.redis, itemId);
    const lateAnswers = await Promise.all(late.map((body) => buy(url, body)));
    expect(lateAnswers.map(({ status }) => status)).toEqual(late.map(() => 202));

    await frozen.kill('SIGCONT');
    const types = (await Promise.all(answers)).map(({ body }) => String(body['type']));
    const doubts = ['/problems/not-accepted', '/problems/outcome-unknown'];
    expect(types.filter((type) => !doubts.includes(type))).toEqual([]);

    const decided = await Promise.all(early.map((body) => insist(frozen.url, body)));
    // Those whose record had been written: their workflows find no unit.
    const written = early.filter((_, i) => decided[i]);
    const accepted = [...late, ...written];
    const { confirmed, failed } = await expectBalance(engine, { itemId, supply: SUPPLY, accepted });
    expect({ confirmed, failed }).toEqual({ confirmed: SUPPLY, failed: written.length });
  }, 120_000);
});

describe('an ingest that is frozen for longer than its session', () => {
  test('loses its partitions to another one, and starts nothing twice when it goes on', async () => {
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 3 * SUPPLY);
    await engine.startAnother('ingest');
    const frozen = engine.process.ingest;
    const bought: BuyBody[] = [];
    const buyMore = async (name: string) => {
      const crowd = crowdOf(itemId, name, SUPPLY);
      bought.push(...crowd);
      const answers = await Promise.all(crowd.map((body) => buy(engine.gateway, body)));
      expect(answers.map(({ status }) => status)).toEqual(crowd.map(() => 202));
    };
    const balance = (withOrders: number) =>
      eventually(
        `${String(withOrders)} units are sold`,
        async () => (await getJson(`${engine.gateway}/items/${itemId}`))['sold'] === withOrders,
        90_000,
      );

    await buyMore('before');
    await frozen.kill('SIGSTOP');
    await buyMore('while');
    await balance(2 * SUPPLY);
    await frozen.kill('SIGCONT');
    await buyMore('after');
    await balance(3 * SUPPLY);
    const ready = async () => (await fetch(`${frozen.url}/readyz`)).status === 200;
    await eventually('it has its place in the group again', ready, 60_000);
    const sale = { itemId, supply: 3 * SUPPLY, accepted: bought };
    expect(await expectBalance(engine, sale)).toEqual({ confirmed: 3 * SUPPLY, failed: 0 });
  }, 240_000);
});
