import { readFileSync } from 'node:fs';
import { expectBalance } from '../support/balance';
import { buy, getJson } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { flashSale } from '../support/flash-sale';
import { anItem } from '../support/purchases';

const TOKEN = 'the-token-of-this-test-run';
const WHO = { by: 'ann', why: 'the card was renewed' };

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine({ OPERATOR_TOKEN: TOKEN });
}, 90_000);
afterAll(() => engine.stop(), 60_000);

async function operator(method: string, path: string, body?: unknown, token = TOKEN) {
  const response = await fetch(`${engine.admin}/operator${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function provider(verdict: 'declines' | 'accepts'): Promise<void> {
  const body = JSON.stringify({ declineRate: verdict === 'declines' ? 1 : 0 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${engine.payments}/misbehaviour`, { method: 'PUT', headers, body });
  expect(answer.status).toBe(200);
}

const becomes = (requestId: string, status: string) =>
  eventually(`${requestId} is ${status}`, async () => {
    const found = await getJson(`${engine.gateway}/orders/${requestId}`);
    return found['status'] === status;
  });

const aBody = (itemId: string, name: string) => ({
  user_id: `u-${name}`,
  item_id: itemId,
  amount: 1,
  request_id: `${itemId}-${name}`,
});

/** A declined order whose letter is there and whose run has ended. */
async function aDeclinedOrder() {
  const itemId = anItem();
  await operator('POST', `/items/${itemId}/restock`, { units: 3, operation_id: 'op', by: 'ann' });
  await provider('declines');
  const body = aBody(itemId, '1');
  expect((await buy(engine.gateway, body)).status).toBe(202);
  await becomes(body.request_id, 'failed');
  await eventually('its run has ended, so that it can be tried', async () => {
    const asked = { ids: [body.request_id], dry_run: true };
    const { body: found } = await operator('POST', '/dead-letters/replay', asked);
    return JSON.stringify(found).includes('would-start');
  });
  return { itemId, requestId: body.request_id, sale: { itemId, supply: 3, accepted: [body] } };
}

const letters = async (itemId: string, query = '') => {
  const { body } = await operator('GET', `/dead-letters?item_id=${itemId}${query}`);
  return body['letters'];
};

test('a restock during a sale adds its units once, also when it is sent twice', async () => {
  const itemId = anItem();
  await provider('accepts');
  const restock = (units: number, name: string) =>
    operator('POST', `/items/${itemId}/restock`, { units, operation_id: name, by: 'ann' });
  expect((await restock(5, 'first')).body).toMatchObject({ new_item: true, free: 5 });
  const crowd = Array.from({ length: 40 }, (_, n) => aBody(itemId, String(n)));
  const buyAll = (bodies: typeof crowd) =>
    Promise.all(bodies.map((body) => buy(engine.gateway, body)));
  const [first, , , second] = await Promise.all([
    ...[buyAll(crowd.slice(0, 20)), restock(7, 'second')],
    ...[restock(7, 'second'), buyAll(crowd.slice(20))],
  ]);
  const answers = [first, second].flatMap((some) => (Array.isArray(some) ? some : []));
  const accepted = crowd.filter((_, index) => answers[index]?.status === 202);
  const late = await buy(engine.gateway, aBody(itemId, 'late'));
  if (late.status === 202) accepted.push(aBody(itemId, 'late'));
  for (const { request_id } of accepted) await becomes(request_id, 'confirmed');
  expect((await operator('GET', `/items/${itemId}`)).body).toMatchObject({ supply: 12 });
  await expectBalance(engine, { itemId, supply: 12, accepted });
});

test('a limit that users exceed is refused over HTTP and by the command, and set with force', async () => {
  const itemId = anItem();
  await provider('accepts');
  expect((await flashSale(engine, 'stock', 'add', itemId, '5')).out).toContain('a new item');
  expect((await buy(engine.gateway, { ...aBody(itemId, '1'), amount: 3 })).status).toBe(202);
  const sale = { units_per_user: 2, by: 'ann' };
  const refused = await operator('PUT', `/items/${itemId}`, sale);
  expect(refused).toMatchObject({ status: 409, body: { users: 1, most: 3 } });
  const typed = ['sale', 'set', itemId, '--limit', '2'];
  const atTerminal = await flashSale(engine, ...typed);
  expect([atTerminal.code, atTerminal.out]).toEqual([1, '']);
  expect(atTerminal.err).toMatch(/1 users own more.*3 units.*--force.*Nothing was changed/);
  expect((await flashSale(engine, ...typed, '--force')).code).toBe(0);
  expect((await operator('GET', `/items/${itemId}`)).body).toMatchObject({ units_per_user: 2 });
});

test('a dead letter is listed, replayed and confirmed over HTTP, and then skipped', async () => {
  const { itemId, requestId, sale } = await aDeclinedOrder();
  expect(await letters(itemId)).toMatchObject([{ request_id: requestId, state: 'open' }]);
  await provider('accepts');
  const ran = await operator('POST', '/dead-letters/replay', { ids: [requestId], ...WHO });
  expect(ran.body).toMatchObject({ orders: [{ outcome: 'started' }], left: 0 });
  await becomes(requestId, 'confirmed');
  await expectBalance(engine, sale);
  expect(await letters(itemId)).toEqual([]);
  expect(await letters(itemId, '&all=true')).toMatchObject([
    { state: 'replayed', marks: [{ ...WHO, by: 'operator for ann' }] },
  ]);
  await eventually('its run has ended', async () => {
    const again = await operator('POST', `/orders/${requestId}/retry`, WHO);
    return again.body['outcome'] === 'sold';
  });
});

test('a failed order is retried over HTTP, and one that was discarded is not', async () => {
  const retried = await aDeclinedOrder();
  const discarded = await aDeclinedOrder();
  const gone = { ids: [discarded.requestId], by: 'ann', why: 'the buyer has gone' };
  const answer = await operator('POST', '/dead-letters/discard', gone);
  expect(answer.body).toMatchObject({ letters: [{ outcome: 'discarded' }] });
  await provider('accepts');
  expect(await operator('POST', `/orders/${retried.requestId}/retry`, WHO)).toMatchObject({
    status: 200,
    body: { outcome: 'started' },
  });
  await becomes(retried.requestId, 'confirmed');
  await expectBalance(engine, retried.sale);
  const refused = await operator('POST', `/orders/${discarded.requestId}/retry`, WHO);
  expect([refused.status, refused.body['detail']]).toEqual([
    409,
    expect.stringContaining('the buyer has gone') as string,
  ]);
});

test('a request without the token is rejected, and no token is logged', async () => {
  const wrong = 'a-wrong-token-of-some-length';
  expect((await operator('GET', '/dead-letters', undefined, wrong)).status).toBe(401);
  // A line of the log reaches its file through a pipe, and so after the answer.
  const log = await eventually('the refusal is in the log', () => {
    const lines = readFileSync(engine.logFile('api'), 'utf8');
    return Promise.resolve(lines.includes('an operator was turned away') && lines);
  });
  expect(log).not.toMatch(new RegExp(`${TOKEN}|${wrong}`));
});
