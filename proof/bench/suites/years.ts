import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { fingerprint as fingerprintOf } from '../../../engine/orders/order-record';
import type { ItemId, Order, OrderId, RequestId, UserId } from '../../../engine/orders/order';
import { rebuildLedger } from '../../../engine/reconciliation/rebuild-ledger';
import type { LedgerEntry } from '../../../engine/orders/ledger';
import { createLedgerMaintenance } from '../../../engine/stock/ledger-maintenance';
import { createAdmission, type Attempt } from '../../../engine/stock/admission';
import { claimKey, eventsKey, itemKeys, ordersKey } from '../../../engine/stock/keys';
import { createStockLedger } from '../../../engine/stock/stock-ledger';
import { createStockOperations } from '../../../engine/stock/stock-operations';
import type { BenchEnvironment, Suite } from '../environment';
import { rounded, type Figure, type ReportTable } from '../report';
import { loadScripts, logCalls, readCalls, type Calls } from '../slowlog';
import { median, quantile } from '../statistics';
import { putOnSale } from './sale';

const ORDERS = 1_000_000;
const QUICK_ORDERS = 20_000;

/** The most that the gateway admits in one round trip. */
const BATCH = 32;
/** Batches that are sold at once while the item fills. */
const LANES = 8;
const PROBE_BATCHES = 200;
const READS = 1_000;
const SALE_CHANGES = 3;
const AUDIT_PAGES = 200;
/** Entries that a rebuild hands on at once. */
const CHUNK = 1_000;

const TOKEN = 'of-a-bench';
const WHO = { by: 'bench', why: 'a measurement' };

/** While a script runs, Redis answers nobody. */
const CALL_MS_MAX = 50;
const CLAIM_BYTES_MAX = 250;

const REWRITE_POLL_MS = 200;

/**
 * What an item costs that has had a million orders: each is held, queued, reserved and sold by the ledger's scripts, in
 * batches as the gateway holds them; no Kafka, no Temporal and no payment, which know nothing of the item's size. The times
 * are measured with the first orders and with the last ones, Redis syncing every write; while the item fills it syncs once
 * a second, which only saves time. SLOWLOG has the time of each call alone, without waiting, syncing and the network.
 */
export const years: Suite = {
  about: 'a million orders of one item through the ledger: memory and times (only by name)',
  onlyByName: true,
  run: async (bench) => {
    const { log, stack } = bench;
    // Without the engine's time limits: a call that takes long is to be measured.
    const redis = new Redis(`redis://${stack.redisAddr}`);
    bench.onEnd(() => {
      redis.disconnect();
    });
    const wanted = bench.orders?.[0] ?? (bench.quick ? QUICK_ORDERS : ORDERS);
    const size = BATCH * Math.max(PROBE_BATCHES, Math.ceil(wanted / BATCH));
    const memoryBefore = await usedMemory(redis);
    const shop = await openShop(redis, bench, size + 2 * PROBE_BATCHES * BATCH);
    const first = await probe(shop, 0);
    await fill(shop, PROBE_BATCHES * BATCH, size, log);
    const memory = await memoryTable(shop, size, memoryBefore);
    const last = await probe(shop, size);
    const sold = size + PROBE_BATCHES * BATCH;
    const violations = await soldViolations(shop, sold);
    // The client sends a script as text the first time, and SLOWLOG then has no name for it.
    await rebuild({ ...shop, itemId: await putOnSale(redis, 0) }, 0);
    const rebuilt = await withCalls(shop, (time) => time('rebuild', () => rebuild(shop, sold)));
    violations.push(...(await soldViolations(shop, sold)));
    const steps = new Map([...last.steps, ...rebuilt.steps]);
    const calls = new Map([...rebuilt.calls, ...last.calls]);
    return {
      tables: [memory.table, stepsTable(size, first.steps, steps), callsTable(calls)],
      figures: [
        ...callFigures(calls),
        { what: 'a claim, bytes', value: memory.claimBytes, bar: { atMost: CLAIM_BYTES_MAX } },
      ],
      violations,
    };
  },
};

type Shop = Awaited<ReturnType<typeof openShop>>;

/** An item with an open ledger. The registry of open ledgers is in Temporal, which this suite does not need. */
async function openShop(redis: Redis, { signal }: BenchEnvironment, units: number) {
  const itemId = await putOnSale(redis, units);
  const ledger = createStockLedger(redis);
  await redis.ledgerOpen(...itemKeys(itemId), 'begin', TOKEN);
  await redis.ledgerOpen(...itemKeys(itemId), 'finish', TOKEN);
  return {
    redis,
    itemId,
    ledger,
    signal,
    scripts: await loadScripts(redis),
    operations: createStockOperations(redis),
    maintenance: createLedgerMaintenance(redis),
    admission: createAdmission(redis, {
      claimTtlMs: 600_000,
      orderRetentionMs: 7 * 24 * 3_600_000,
      defaultPrice: { priceMinor: 1_000, currency: 'USD' },
    }),
  };
}

/** The n-th order's attempt. The ids have the length of a UUID. Each order has a buyer of its own. */
function attemptOf(itemId: ItemId, n: number): Attempt {
  const suffix = String(n).padStart(12, '0');
  const purchase = {
    requestId: `${itemId.slice(-8)}-0000-4000-8000-${suffix}` as RequestId,
    userId: `user-${suffix}` as UserId,
    itemId,
    amount: 1,
  };
  return { ...purchase, fingerprint: fingerprintOf(purchase), token: `bench.${n}` };
}

/** Holds and queues the batch that begins with the n-th order. */
async function admit(shop: Shop, n: number, time: Timer = untimed): Promise<Order[]> {
  const { admission, itemId } = shop;
  const attempts = Array.from({ length: BATCH }, (_, i) => attemptOf(itemId, n + i));
  const verdicts = await time(`hold ${BATCH}`, () => admission.claimAndHold(attempts));
  const orders = verdicts.map((verdict, i): Order => {
    const attempt = attempts[i];
    if (!attempt || verdict instanceof Error || verdict.hold.kind !== 'held') {
      throw new Error(`Order ${n + i} was not held: ${JSON.stringify(verdict)}`);
    }
    const { orderId, priceMinor, currency, acceptedAt } = verdict.hold;
    const { requestId, userId, amount, fingerprint } = attempt;
    const purchase = { requestId, userId, itemId, amount, fingerprint };
    return { ...purchase, orderId, priceMinor, currency, acceptedAt };
  });
  const queued = await time(`queue ${BATCH}`, () => admission.queue(orders));
  if (!queued.every((one) => one === true)) throw new Error(`Not all queued: ${String(queued)}`);
  return orders;
}

async function sell({ ledger }: Shop, order: Order, time: Timer = untimed): Promise<void> {
  const { acceptedAt: fence } = order;
  const reserved = await time('reserve', () => ledger.reserve(order, fence));
  if (reserved.kind !== 'reserved') throw new Error(`${order.requestId} is ${reserved.kind}`);
  const { generation } = reserved;
  const paymentId = `pay_${order.requestId}`;
  await time('confirm', () => ledger.confirm({ ...order, generation, fence, paymentId }));
}

/** Sells orders `from` to `to`. Each write counts once Redis has it in memory. */
async function fill(shop: Shop, from: number, to: number, log: BenchEnvironment['log']) {
  const { redis, signal } = shop;
  await redis.config('SET', 'appendfsync', 'everysec');
  const startedAt = Date.now();
  let next = from;
  const lane = async () => {
    while (next < to) {
      signal.throwIfAborted();
      const n = next;
      next += BATCH;
      const orders = await admit(shop, n);
      await Promise.all(orders.map((order) => sell(shop, order)));
      if (n % (BATCH * 3_125) === 0) log(`  ${n} orders, ${rounded(Date.now() - startedAt)} ms`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await redis.config('SET', 'appendfsync', 'always');
}

/** Takes the time of one step. */
type Timer = <T>(step: string, run: () => Promise<T>) => Promise<T>;
const untimed: Timer = (_step, run) => run();

/** Times by step in ms, as the client sees them. */
type Steps = ReadonlyMap<string, readonly number[]>;

/** Runs `use` and takes its times: of its steps, and of its calls in Redis. */
async function withCalls(
  shop: Shop,
  use: (time: Timer) => Promise<unknown>,
): Promise<{ steps: Steps; calls: Calls }> {
  const { redis } = shop;
  const steps = new Map<string, number[]>();
  await whenNotRewriting(redis);
  await logCalls(redis);
  await use(async (step, run) => {
    shop.signal.throwIfAborted();
    const startedAt = performance.now();
    const result = await run();
    const times = steps.get(step) ?? [];
    steps.set(step, times);
    times.push(performance.now() - startedAt);
    return result;
  });
  return { steps, calls: await readCalls(redis, shop.scripts) };
}

/** Sends every kind of call, one after the other, with new orders from the n-th on. */
function probe(shop: Shop, n: number) {
  const { ledger, operations, maintenance, itemId } = shop;
  return withCalls(shop, async (time) => {
    for (let batch = 0; batch < PROBE_BATCHES; batch++) {
      const [order, ...others] = await admit(shop, n + batch * BATCH, time);
      if (order) await sell(shop, order, time);
      await Promise.all(others.map((other) => sell(shop, other)));
    }
    const { requestId } = attemptOf(itemId, n);
    for (let i = 0; i < READS; i++) {
      await time('GET /items', () => ledger.item(itemId));
      await time('GET /orders', () => ledger.findOrder(requestId));
    }
    for (let i = 0; i < SALE_CHANGES; i++) {
      const change = (unitsPerUser: number | null) =>
        operations.changeSale(itemId, { unitsPerUser }, { by: WHO.by });
      await time('set a limit per user', () => change(1));
      await change(null);
    }
    let cursor = '0';
    for (let page = 0; page < AUDIT_PAGES; page++) {
      ({ next: cursor } = await time('audit: a page', () => maintenance.page(itemId, cursor)));
    }
    await time('audit: all counts', () => maintenance.compareCounts(itemId));
  });
}

/** Loses the ledger and restores every order, as if each had been found sold. The claims are still there. */
async function rebuild({ redis, itemId, maintenance }: Shop, orders: number): Promise<void> {
  await redis.unlink(...itemKeys(itemId));
  const deps = {
    repair: maintenance,
    registry: { registration: () => Promise.resolve({ token: TOKEN, at: 0, isAgain: false }) },
    history: {
      restore: async (
        _item: unknown,
        onEntries: (entries: ReadonlyMap<RequestId, LedgerEntry>) => Promise<void>,
      ) => {
        for (let first = 0; first < orders; first += CHUNK) {
          const count = Math.min(CHUNK, orders - first);
          await onEntries(
            new Map(Array.from({ length: count }, (_, i) => soldOrder(itemId, first + i))),
          );
        }
        return [];
      },
    },
    claim: () => Promise.resolve(true),
  };
  await rebuildLedger(deps, { itemId, stock: { given: 'supply', units: orders }, ...WHO });
}

function soldOrder(itemId: ItemId, n: number): [RequestId, LedgerEntry] {
  const { requestId, userId, amount, fingerprint, token } = attemptOf(itemId, n);
  const at = Date.now();
  return [
    requestId,
    {
      orderId: token as OrderId,
      state: 'sold',
      units: amount,
      userId,
      fingerprint,
      priceMinor: 1_000,
      currency: 'USD',
      generation: 1,
      fence: at,
      unresolvedCharges: [],
      paymentId: `pay_${requestId}`,
      acceptedAt: at,
      finishedAt: at,
      timeline: [
        { at, state: 'queued' },
        { at, state: 'reserved' },
        { at, state: 'sold' },
      ],
    },
  ];
}

async function memoryTable({ redis, itemId }: Shop, size: number, before: number) {
  await whenNotRewriting(redis);
  await redis.slowlog('RESET');
  const sizeOf = async (key: string) => (await redis.memory('USAGE', key, 'SAMPLES', 1_000)) ?? 0;
  const [, , , buyersKey] = itemKeys(itemId);
  const claimBytes = await sizeOf(claimKey(attemptOf(itemId, size - 1).requestId));
  const rows: [string, number][] = [
    ['all keys (used_memory)', ((await usedMemory(redis)) - before) / size],
    ['entry', (await sizeOf(ordersKey(itemId))) / size],
    ['claim', claimBytes],
    ['buyer, one for each order', (await sizeOf(buyersKey ?? '')) / size],
  ];
  const eventsMb = (await sizeOf(eventsKey(itemId))) / 2 ** 20;
  const table: ReportTable = {
    title: `memory of Redis after ${rounded(size)} orders; the stream of events: ${rounded(eventsMb)} MB, capped`,
    head: ['what', 'bytes per order'],
    rows: rows.map(([what, bytes]) => [what, rounded(bytes)]),
  };
  return { table, claimBytes };
}

async function usedMemory(redis: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
}

/** A rewrite of the append-only file copies the pages that change meanwhile. */
async function whenNotRewriting(redis: Redis): Promise<void> {
  while (/aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence'))) {
    await sleep(REWRITE_POLL_MS);
  }
}

function stepsTable(size: number, first: Steps, last: Steps): ReportTable {
  const times = (all: readonly number[] = []) => [
    rounded(quantile(all, 0.5)),
    rounded(quantile(all, 0.99)),
  ];
  return {
    title: 'as the client sees it, ms',
    head: ['step', 'first orders: median', 'p99', `after ${rounded(size)}: median`, 'p99'],
    rows: [...last].map(([step, all]) => [step, ...times(first.get(step)), ...times(all)]),
  };
}

function callsTable(calls: Calls): ReportTable {
  return {
    title: 'in Redis, by SLOWLOG, ms',
    head: ['script or command', 'calls', 'median', 'p99', 'longest'],
    rows: [...calls].map(([name, times]) => [
      name,
      times.length,
      median(times).toFixed(3),
      quantile(times, 0.99).toFixed(3),
      Math.max(...times).toFixed(3),
    ]),
  };
}

/** The median, since a call may be preempted by whatever else runs on the machine. */
function callFigures(calls: Calls): Figure[] {
  return [...calls].map(([name, times]) => ({
    what: `${name}, median ms of a call`,
    value: median(times),
    bar: { atMost: CALL_MS_MAX },
  }));
}

async function soldViolations({ ledger, itemId }: Shop, size: number): Promise<string[]> {
  const sold = (await ledger.item(itemId))?.counts.sold ?? 0;
  return sold === size ? [] : [`${size} orders were sold, and the ledger counts ${sold}`];
}
