import { expectBalance } from '../support/balance';
import { buy, type BuyBody } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { anItem } from '../support/purchases';

const ORDERS = 2;
/** Longer than the worker waits for one answer. */
const TOO_LATE_MS = 9_000;

/** What the simulator does to the charges of one item, and how many of its orders are sold all the same. */
const MISBEHAVIOURS = [
  ['is slow', { kind: 'slow', delayMs: 1_500 }, ORDERS],
  [
    'charges when its caller has given up',
    { kind: 'slow', delayMs: TOO_LATE_MS, times: 1 },
    ORDERS,
  ],
  ['takes the money and never answers', { kind: 'hang-after', times: 1 }, ORDERS],
  ['takes the money and answers 503', { kind: 'fail-after', times: 3 }, ORDERS],
  ['takes the money and drops the connection', { kind: 'drop-after', times: 2 }, ORDERS],
  ['answers 500 and takes nothing', { kind: 'fail-before', status: 500, times: 3 }, ORDERS],
  ['never answers and takes nothing', { kind: 'hang-before', times: 1 }, ORDERS],
  ['carries each charge out twice', { kind: 'twice' }, ORDERS],
  ['declines', { kind: 'decline' }, 0],
] as const;

let engine: Engine;
const sales = new Map<string, { itemId: string; supply: number; accepted: BuyBody[] }>();

// All at once: most of it is waiting for answers that do not come.
beforeAll(async () => {
  engine = await startEngine({ PAYMENT_DECLINE_RATE: '0' });
  const rules = MISBEHAVIOURS.map(([name, rule]) => {
    const itemId = anItem();
    const accepted = Array.from({ length: ORDERS }, (_, i) => ({
      user_id: 'u1',
      item_id: itemId,
      amount: i + 1,
      request_id: `${itemId}-${String(i)}`,
    }));
    sales.set(name, { itemId, supply: 5, accepted });
    return { ...rule, keyPrefix: `${itemId}-` };
  });
  const told = await fetch(`${engine.payments}/misbehaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ rules }),
  });
  expect(told.status).toBe(200);
  for (const { itemId, supply, accepted } of sales.values()) {
    await engine.redis.set(`inventory:${itemId}`, supply);
    const answers = await Promise.all(accepted.map((body) => buy(engine.gateway, body)));
    expect(answers.map(({ status }) => status)).toEqual(accepted.map(() => 202));
  }
}, 120_000);
afterAll(() => engine.stop(), 60_000);

describe('while the payment provider', () => {
  test.each(MISBEHAVIOURS)(
    '%s, its own ledger has one charge for each order that is sold',
    async (name, _rule, sold) => {
      const sale = sales.get(name);
      if (!sale) throw new Error(`no sale was held while it ${name}`);
      const balance = await expectBalance(engine, sale);
      expect(balance).toEqual({ confirmed: sold, failed: ORDERS - sold });
    },
    90_000,
  );
});
