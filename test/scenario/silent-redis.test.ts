import { redisAddr } from '../support/addresses';
import { openResponseGate, type ResponseGate } from '../support/response-gate';
import { buy } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { anItem } from '../support/purchases';

let engine: Engine;
let gate: ResponseGate;
let gateway: string;
let admin: string;
beforeAll(async () => {
  engine = await startEngine();
  gate = await openResponseGate(redisAddr().replace('redis://', ''));
  ({ url: gateway, adminUrl: admin } = await engine.startAnother('api', {
    REDIS_ADDR: gate.address,
  }));
}, 90_000);
afterAll(async () => {
  await engine.stop();
  await gate.close();
}, 60_000);

/** What Redis may take (2 s), half a second of grace, and a busy machine. */
const ANSWER_MS_MAX = 6_000;
const BUYERS = 400;
/** Nothing may pile up behind a dependency that is silent; garbage may. */
const GROWTH_MB_MAX = 100;

async function memoryMb(): Promise<number> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]) / 2 ** 20;
}

test('while Redis is silent every purchase is refused in time, the process lives, its memory stays, and then it sells on', async () => {
  const itemId = anItem();
  await engine.redis.set(`inventory:${itemId}`, BUYERS);
  const body = (i: number) => ({
    user_id: `u${String(i)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${String(i)}`,
  });
  expect((await buy(gateway, body(0))).status).toBe(202);
  const before = await memoryMb();
  gate.hold();

  const answers = Array.from({ length: BUYERS }, async (_, i) => {
    const { status, body: problem } = await buy(gateway, body(i + 1));
    return [status, problem['type']];
  });
  const startedAt = performance.now();
  expect((await fetch(`${admin}/livez`)).status).toBe(200);
  expect((await fetch(`${admin}/readyz`)).status).toBe(503);
  const told = await Promise.all(answers);
  // The client asks over 128 connections, so some wait for others before they are asked at all.
  const turns = Math.ceil(BUYERS / 128);
  expect(performance.now() - startedAt).toBeLessThan(turns * ANSWER_MS_MAX);
  const refused = [503, '/problems/not-accepted'];
  expect(told.filter((answer) => String(answer) !== String(refused))).toEqual([]);
  expect((await memoryMb()) - before).toBeLessThan(GROWTH_MB_MAX);

  gate.letThrough();
  await eventually('it sells again', async () => {
    const { status } = await buy(gateway, body(BUYERS + 1));
    return status === 202;
  });
}, 90_000);
