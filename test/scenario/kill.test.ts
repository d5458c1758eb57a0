import { expectBalance } from '../support/balance';
import { insist } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { anItem } from '../support/purchases';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
}, 90_000);
afterAll(() => engine.stop(), 60_000);

const SUPPLY = 150;
const BUYERS = 200;
/** Which process dies when so many buyers have come. */
const DEATHS = new Map<number, 'api' | 'ingest' | 'worker'>([
  [50, 'api'],
  [90, 'ingest'],
  [130, 'worker'],
]);

test('api, ingest and worker are killed in a burst of 200 orders, and every accepted order has one outcome', async () => {
  const itemId = anItem();
  await engine.redis.set(`inventory:${itemId}`, SUPPLY);
  const crowd = Array.from({ length: BUYERS }, (_, i) => ({
    user_id: `u${String(i)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${String(i)}`,
  }));
  const restarts: Promise<void>[] = [];
  const decisions: Promise<boolean>[] = [];
  for (const [i, body] of crowd.entries()) {
    decisions.push(insist(engine.gateway, body));
    const victim = DEATHS.get(i);
    if (victim) {
      await engine.process[victim].kill('SIGKILL');
      restarts.push(engine.process[victim].restart());
    }
    // A turn of the event loop for the sockets: the burst is to be under way when somebody dies.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(restarts);
  const decided = await Promise.all(decisions);
  const accepted = crowd.filter((_, i) => decided[i]);
  expect(accepted.length).toBeGreaterThanOrEqual(SUPPLY);
  await expectBalance(engine, { itemId, supply: SUPPLY, accepted });
}, 180_000);
