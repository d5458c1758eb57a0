import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import calculateSlot from 'cluster-key-slot';
import { createLogger } from '../../platform/logger';
import {
  connectFailFastRedis,
  connectRetryingRedis,
  type RedisConnection,
  watchRedisDurability,
  withRedis,
} from '../../platform/redis';
import { admissionContract } from '../contract/admission.contract';
import { sellingContract } from '../contract/selling.contract';
import { CONTRACT_LEASE_MS } from '../contract/admission-item';
import { eventually } from '../support/eventually';
import { anAttempt, anItem, anOrder, aPurchase } from '../support/purchases';
import { redisStockOn, type RedisStock } from '../support/redis-stock';
import { makeCertificates } from '../support/secured/certificates';
import {
  PASSWORD,
  startRedisCluster,
  type ClusterNode,
  type RedisCluster,
} from '../support/secured/redis-cluster';
import {
  parseAdjustment,
  readAdjustments,
  readOpenStock,
  removeAdjustments,
} from '../../engine/stock/adjustments';
import { createClaimOrder } from '../../engine/stock/claims';
import { findAdjustedItems } from '../../engine/stock/open-items';
import { createSellingSwitch, SELLING_KEY, watchSelling } from '../../engine/stock/selling-switch';

const logger = createLogger('test', 'silent');
const folder = mkdtempSync(join(tmpdir(), 'flash-sale-'));
let cluster: RedisCluster;
/** As the gateway is connected: it fails fast. */
let door: RedisStock<RedisConnection>;
/** As the worker is connected: it waits. */
let patient: RedisStock<RedisConnection>;

beforeAll(async () => {
  cluster = await startRedisCluster(makeCertificates(folder));
  door = redisStockOn(connectFailFastRedis(cluster.access, logger), CONTRACT_LEASE_MS);
  patient = redisStockOn(connectRetryingRedis(cluster.access, logger));
  await eventually('the door is open', () => Promise.resolve(door.redis.status === 'ready'));
}, 60_000);
afterAll(async () => {
  door.redis.disconnect();
  patient.redis.disconnect();
  await cluster.stop();
  rmSync(folder, { recursive: true });
});

admissionContract('a Redis Cluster behind TLS and a password', () => ({
  ...door,
  // An operator's connection does not fail fast.
  setFree: patient.setFree,
}));

sellingContract('a Redis Cluster', () => door.redis);

const keysOf = ({ requestId, itemId }: { requestId: string; itemId: string }) => ({
  claim: calculateSlot(`idempotency:${requestId}`),
  item: calculateSlot(`inventory:${itemId}`),
});
const serves = ({ slots }: ClusterNode, slot: number) => slots.first <= slot && slot <= slots.last;

/** A purchase of a fresh item whose claim and stock are both served by one of these nodes. */
function purchaseOn(...nodes: readonly ClusterNode[]) {
  for (;;) {
    const purchase = aPurchase({ itemId: anItem() });
    const { claim, item } = keysOf(purchase);
    if ([claim, item].every((slot) => nodes.some((node) => serves(node, slot)))) return purchase;
  }
}

/** A node gives no slot away of which it has keys: an earlier test may have used the slot. */
async function purchaseInEmptySlotOn(node: ClusterNode) {
  for (;;) {
    const purchase = purchaseOn(node);
    const { item } = keysOf(purchase);
    if ((await node.redis.call('CLUSTER', 'COUNTKEYSINSLOT', item)) === 0) return purchase;
  }
}

describe('the ledger on a Redis Cluster', () => {
  test('takes one order through every state, and releases another', async () => {
    const attempts = [1, 2].map(() => anAttempt(aPurchase({ itemId: anItem() })));
    const [sold, returned] = attempts.map((attempt) => anOrder(attempt));
    for (const attempt of attempts) {
      const order = anOrder(attempt);
      await patient.setFree(order.itemId, 1);
      expect(await door.admission.claimAndHold([attempt])).toMatchObject([{ claim: 'new' }]);
      expect(await door.admission.queue([attempt])).toEqual([true]);
      const reserved = await patient.ledger.reserve(order, 10);
      expect(reserved).toMatchObject({ kind: 'reserved', generation: 1 });
      expect(await createClaimOrder(patient.redis, 60_000)(order)).toBe(true);
    }
    if (!sold || !returned) throw new Error('two were made');
    const one = { generation: 1, fence: 11, paymentId: 'pay-1' };
    expect(await patient.ledger.confirm({ ...sold, ...one })).toMatchObject({ kind: 'sold' });
    expect(await patient.countsOf(sold.itemId)).toMatchObject({ free: 0, sold: 1, supply: 1 });

    const why = { fence: 11, reason: 'payment-unknown' } as const;
    const answer = await patient.ledger.release({ order: returned, ...why });
    expect(answer).toMatchObject({ kind: 'released', owed: [1] });
    await patient.ledger.resolveCharge({ ...returned, generation: 1 });
    expect((await patient.ledger.findOrder(returned.requestId))?.entry.unresolvedCharges).toEqual(
      [],
    );
    expect(await patient.countsOf(returned.itemId)).toMatchObject({ free: 1, supply: 1 });
  });

  test('admits 200 purchases of 200 items on all nodes in one call', async () => {
    const attempts = Array.from({ length: 200 }, () => anAttempt(aPurchase({ itemId: anItem() })));
    await Promise.all(attempts.map(({ itemId }, i) => patient.setFree(itemId, i % 2)));
    const verdicts = await door.admission.claimAndHold(attempts);
    const kinds = verdicts.map((verdict) => !(verdict instanceof Error) && verdict.hold.kind);
    expect(kinds).toEqual(attempts.map((_, i) => (i % 2 === 1 ? 'held' : 'sold-out')));
  });

  test('finds a slot that has moved to another node, within the call that goes to the old node', async () => {
    const [from, to] = cluster.nodes;
    if (!from || !to) throw new Error('there are three');
    const purchase = await purchaseInEmptySlotOn(from);
    const { item } = keysOf(purchase);
    const id = String(await to.redis.call('CLUSTER', 'MYID'));
    for (const { redis } of [to, ...cluster.nodes]) {
      await redis.call('CLUSTER', 'SETSLOT', item, 'NODE', id);
    }
    await withRedis(cluster.access, (redis) => redis.set(`inventory:${purchase.itemId}`, 1));
    const elsewhere = anAttempt(purchaseOn(to));
    const verdicts = await door.admission.claimAndHold([anAttempt(purchase), elsewhere]);
    // Past the registry nothing is sold, but only the right node knows which of the items has stock.
    expect(verdicts).toMatchObject([
      { hold: { kind: 'unopened', known: true } },
      { hold: { kind: 'unopened', known: false } },
    ]);
  });
});

describe('a slot on the move between two nodes', () => {
  /** Begins the move of an item's slot; `move` takes one key over, as a resharding does one after the other. */
  async function beginMove() {
    const [, from, to] = cluster.nodes;
    if (!from || !to) throw new Error('there are three');
    const purchase = purchaseOn(from);
    const slot = keysOf(purchase).item;
    const idOf = async ({ redis }: ClusterNode) => String(await redis.call('CLUSTER', 'MYID'));
    const [fromId, toId] = [await idOf(from), await idOf(to)];
    await patient.setFree(purchase.itemId, 5);
    await to.redis.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId);
    await from.redis.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId);
    const { host = '', port = 0 } = to.redis.options;
    return {
      purchase,
      keys: async () => (await from.redis.call('CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[],
      move: (key: string) =>
        from.redis.call('MIGRATE', host, port, key, 0, 5_000, 'AUTH', PASSWORD),
      finish: async () => {
        for (const { redis } of [to, ...cluster.nodes]) {
          await redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', toId);
        }
      },
    };
  }

  test('gives no wrong answer while keys are missing at either node, and sells when it has moved', async () => {
    const { purchase, keys, move, finish } = await beginMove();
    const { itemId } = purchase;
    const answers: string[] = [];
    const attempt = async () => {
      const one = anAttempt(aPurchase({ itemId, userId: `u${answers.length}` }));
      const [verdict] = await door.admission.claimAndHold([one]);
      answers.push(
        verdict instanceof Error
          ? (verdict.message.split(' ')[0] ?? '')
          : (verdict?.hold.kind ?? ''),
      );
    };
    await attempt();
    for (let left = await keys(); left.length > 0; left = await keys()) {
      await move(left[0] ?? '');
      await attempt();
    }
    await finish();
    await eventually('it is sold at the new node', async () => {
      await attempt();
      return answers.at(-1) === 'held';
    });
    const held = answers.filter((answer) => answer === 'held').length;
    expect(await patient.countsOf(itemId)).toMatchObject({ free: 5 - held, held, supply: 5 });
    expect(
      answers.filter((answer) => !['held', 'TRYAGAIN', 'ASK', 'MOVED'].includes(answer)),
    ).toEqual([]);
  });
});

describe('a Redis Cluster that loses a master', () => {
  test('refuses the slots of that master without delay, serves the rest, and recovers when it is back', async () => {
    const [dead, ...alive] = cluster.nodes;
    if (!dead) throw new Error('there are three');
    const lost = anAttempt(purchaseOn(dead));
    const safe = Array.from({ length: 20 }, () => anAttempt(purchaseOn(...alive)));
    await Promise.all([lost, ...safe].map(({ itemId }) => patient.setFree(itemId, 1)));
    await dead.kill();

    const before = performance.now();
    const [unknown, ...held] = await door.admission.claimAndHold([lost, ...safe]);
    expect(performance.now() - before).toBeLessThan(4_000);
    expect(unknown).toBeInstanceOf(Error);
    expect(held).toMatchObject(safe.map(() => ({ hold: { kind: 'held' } })));
    // It goes to any node, and so perhaps to the dead one until the client has given that up.
    expect(await eventually('the connection lives on', () => door.redis.ping())).toBe('PONG');

    await dead.restart();
    const verdict = await eventually('the lost item is sold again', async () => {
      const [found] = await door.admission.claimAndHold([lost]);
      return found instanceof Error ? undefined : found;
    });
    expect(verdict.hold.kind).toBe('held');
    expect(await patient.countsOf(lost.itemId)).toMatchObject({ free: 0, held: 1, supply: 1 });
  }, 60_000);
});

describe('the switch of selling on a Redis Cluster that loses its master', () => {
  test('stays as it was, and can be changed when the master is back', async () => {
    const dead = cluster.nodes.find((node) => serves(node, calculateSlot(SELLING_KEY)));
    const theSwitch = createSellingSwitch(door.redis);
    const state = { stopped: true, at: new Date().toISOString(), by: 'ann', why: 'x' };
    await theSwitch.change(state);
    const watch = await watchSelling(theSwitch, () => Promise.resolve(undefined), logger);
    try {
      await dead?.kill();
      await watch.refresh();
      expect(watch.standing()).toBe('stopped');
      expect(watch.warnings()).toContain(
        'the switch of selling cannot be read: its last state holds',
      );
      await expect(theSwitch.change({ ...state, stopped: false })).rejects.toThrow();

      await dead?.restart();
      await eventually('it is changed', () => theSwitch.change({ ...state, stopped: false }));
      await eventually('it is followed', async () => {
        await watch.refresh();
        return watch.standing() === 'selling' && watch.warnings().length === 0;
      });
    } finally {
      watch.stop();
    }
  }, 60_000);
});

describe('how a Redis Cluster keeps its data', () => {
  test('has the changes of stock of all its nodes read and taken out', async () => {
    const { redis } = patient;
    const items = cluster.nodes.map((node) => purchaseOn(node).itemId);
    for (const itemId of items) await patient.setFree(itemId, 3);
    expect(await findAdjustedItems(redis)).toEqual(expect.arrayContaining(items));
    for (const [itemId, entries] of await readAdjustments(redis, items, 10)) {
      if (entries instanceof Error) throw entries;
      expect(entries.map(parseAdjustment)).toMatchObject([
        { kind: 'adjusted', units: 3, supply: 3 },
        { kind: 'opened', supply: 3 },
      ]);
      const ids = entries.map(([id]) => id);
      await removeAdjustments(redis, itemId, ids);
    }
    const rest = await readAdjustments(redis, items, 10);
    expect([...rest.values()]).toEqual(items.map(() => []));
    expect([...(await readOpenStock(redis, items)).values()]).toEqual(
      items.map(() => ({ supply: 3, sale: {} })),
    );
  });

  test('is checked on every master: a weak one is refused in production, by its address', async () => {
    const loose = cluster.nodes[2];
    await loose?.redis.config('SET', 'appendfsync', 'everysec');
    const refusals: string[] = [];
    const redis = connectRetryingRedis(cluster.access, logger);
    watchRedisDurability(redis, {
      production: true,
      logger,
      refuse: ({ message }) => refusals.push(message),
    });
    try {
      await eventually('it is refused', () => Promise.resolve(refusals.length > 0));
      const addr = cluster.access.addrs[2] ?? '';
      expect(refusals).toEqual([expect.stringContaining(`Redis at ${addr} is not durable enough`)]);
    } finally {
      redis.disconnect();
      await loose?.redis.config('SET', 'appendfsync', 'always');
    }
  });
});

describe('a Redis Cluster that rejects the credentials', () => {
  test.each([
    ['the password', { password: undefined }],
    ['a certificate', { tls: { ca: undefined, client: undefined, serverName: undefined } }],
  ])('is not reached without %s', async (_, missing) => {
    const asked = withRedis({ ...cluster.access, ...missing }, (redis) => redis.get('any'));
    await expect(asked).rejects.toThrow();
  });
});
