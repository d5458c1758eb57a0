import { execFileSync } from 'node:child_process';
import { get } from 'node:http';
import { freePorts } from '../../stack/settings';
import { expectBalance } from '../support/balance';
import { startBuiltProcess } from '../support/built-process';
import { buy, insist } from '../support/buyers';
import { startEngine, type Engine } from '../support/engine';
import { eventually } from '../support/eventually';
import { anItem } from '../support/purchases';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine({ API_PROCESSES: '2' });
}, 90_000);
afterAll(() => engine.stop(), 60_000);

/** The worker processes of the gateway. Its other child is the watcher of the stack. */
function workers(): number[] {
  const parent = String(engine.process.api.pid());
  return execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, ppid]) => ppid === parent)
    .filter(([, , ...args]) => !args.join(' ').includes('guard.sh'))
    .map(([pid]) => Number(pid));
}

async function metrics(): Promise<string> {
  return (await fetch(`${engine.admin}/metrics`)).text();
}

/** A connection that was used before may belong to the process that is dead by now, or frozen. */
function statusOnNewConnection(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

const metric = async (name: string) =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await metrics())?.[1] ?? NaN);

const bothRun = () =>
  eventually('both run', async () => (await metric('flash_sale_api_processes')) === 2);

function crowdOf(itemId: string, count: number) {
  return Array.from({ length: count }, (_, i) => ({
    user_id: `u${String(i)}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${String(i)}`,
  }));
}

describe('two gateway processes behind one port', () => {
  test('share the work, and /metrics tells the sum whichever is asked', async () => {
    await bothRun();
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 61);
    const accepted = 'flash_sale_buys_total\\{answer="accepted"\\}';
    // The first purchase opens the item's ledger. While a busy server gives no answer to that, all are answered 503.
    const [first, ...crowd] = crowdOf(itemId, 61);
    if (!first) throw new Error('the crowd is empty');
    expect(await insist(engine.gateway, first)).toBe(true);
    const before = await metric(accepted);
    const answers = await Promise.all(crowd.map((body) => buy(engine.gateway, body)));
    expect(answers.filter(({ status }) => status !== 202)).toEqual([]);
    // Asked on connections of their own, so that both processes come to answer.
    const told = await Promise.all([1, 2, 3, 4].map(() => metric(accepted)));
    expect(told).toEqual(told.map(() => before + 60));
    await expectBalance(engine, { itemId, supply: 61, accepted: [first, ...crowd] });
  }, 60_000);

  test('end at once, before a buyer is let in, when the port for operators is taken', async () => {
    await bothRun();
    const one = startBuiltProcess('api/main.js', (await freePorts()).gateway, {
      ...process.env,
      ORDERS_TOPIC: engine.topics.ordersTopic,
      CANCELLATIONS_TOPIC: engine.topics.cancellationsTopic,
      OPERATOR_ACTIONS_TOPIC: engine.topics.operatorActionsTopic,
      ORDER_EVENTS_TOPIC: engine.topics.orderEventsTopic,
      ADMIN_PORT: new URL(engine.admin).port,
      PAYMENT_URL: engine.payments,
      API_PROCESSES: '2',
    });
    expect(await one.ended).toEqual([1, null]);
    expect(one.output()).toContain('EADDRINUSE');
    expect(one.linesOf('a worker process has ended')).toBe(1);
  }, 120_000);

  test('lose one under load: the other sells on, it comes back, and no accepted order is lost', async () => {
    await bothRun();
    const itemId = anItem();
    await engine.redis.set(`inventory:${itemId}`, 150);
    const crowd = crowdOf(itemId, 200);
    const [victim = NaN, survivor = NaN] = workers();
    const decisions: Promise<boolean>[] = [];
    for (const [i, body] of crowd.entries()) {
      decisions.push(insist(engine.gateway, body));
      if (i === 60) process.kill(victim, 'SIGKILL');
      // A turn of the event loop for the sockets: the burst is to be under way when it dies.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('the victim is gone', () => Promise.resolve(!workers().includes(victim)));
    expect(await statusOnNewConnection(`${engine.admin}/readyz`)).toBe(200);
    const decided = await Promise.all(decisions);
    const accepted = crowd.filter((_, i) => decided[i]);
    expect(accepted.length).toBeGreaterThanOrEqual(150);
    await expectBalance(engine, { itemId, supply: 150, accepted });
    await bothRun();
    expect(workers()).toContain(survivor);
  }, 120_000);

  test('are ready as long as one of them is, though the other answers nothing', async () => {
    await bothRun();
    const [frozen = NaN] = workers();
    process.kill(frozen, 'SIGSTOP');
    try {
      const ask = () => statusOnNewConnection(`${engine.admin}/readyz`);
      const asked = await Promise.all([ask(), ask(), ask(), ask()]);
      expect(asked).toEqual([200, 200, 200, 200]);
    } finally {
      process.kill(frozen, 'SIGCONT');
    }
  }, 30_000);

  test.each<[string, () => void]>([
    ['SIGTERM to the primary', () => void engine.process.api.kill('SIGTERM')],
    ['Ctrl-C, which reaches all of them', () => process.kill(-engine.process.api.pid(), 'SIGINT')],
  ])(
    'answer what they have in hand and end in order after %s',
    async (_what, stop) => {
      await bothRun();
      const itemId = anItem();
      await engine.redis.set(`inventory:${itemId}`, 1_000);
      const crowd = crowdOf(itemId, 100);
      const answers = crowd.map((body) => buy(engine.gateway, body));
      await Promise.race(answers);
      stop();
      expect(await engine.process.api.ended()).toEqual({ code: 0, signal: null });
      const statuses = (await Promise.all(answers)).map(({ status }) => status);
      // 503: the gateway was closing. 0 would be a connection that was cut in the middle of a purchase.
      expect(statuses.filter((status) => ![202, 503].includes(status))).toEqual([]);
      expect(workers()).toEqual([]);
      await engine.process.api.restart();
      const accepted = crowd.filter((_, i) => statuses[i] === 202);
      expect(accepted.length).toBeGreaterThan(0);
      await expectBalance(engine, { itemId, supply: 1_000, accepted });
    },
    90_000,
  );

  test('end as one with exit code 1 when they die over and over', async () => {
    await bothRun();
    let gone = false;
    const ended = engine.process.api.ended().finally(() => {
      gone = true;
    });
    await eventually(
      'the primary exits',
      () => {
        for (const pid of workers()) process.kill(pid, 'SIGKILL');
        return Promise.resolve(gone);
      },
      60_000,
    );
    expect(await ended).toEqual({ code: 1, signal: null });
    await engine.process.api.restart();
    await bothRun();
  }, 120_000);
});
