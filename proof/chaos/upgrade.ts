import { execFile } from 'node:child_process';
import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { chargeViolations, idleViolations } from '../../client/invariants';
import { readCharges, readSnapshot } from '../../client/snapshot';
import { createKafka } from '../../engine/kafka/kafka-client';
import { isCancelled, type LedgerEntry } from '../../engine/orders/ledger';
import type { ItemId } from '../../engine/orders/order';
import { freeUnitsKey } from '../../engine/stock/keys';
import { createEngineInstance } from '../../stack/engine-instance';
import type { Checkout } from '../../stack/checkout';
import { startEngineProcess } from '../../stack/engine';
import { within } from '../../platform/until';
import type { BuyBody } from '../../client/gateway';
import { createBuyers, type BuyerResult, type Buyers } from './buyers';
import { setProviderRules, type Servers } from './instance';
import { findViolations } from './invariants';
import { BURST_ORDERS, burstUnits, planBurst } from './orders-plan';
import { takeSnapshot, waitForItem } from './snapshot';
import { openTopicTail } from './topic-tail';

/**
 * One of two old gateways dies here: its last holds are acknowledged by Kafka and not queued. At the second call, because
 * its share of the burst may take no more than two.
 */
const OLD_GATEWAY_DIES = 'api.queue.before=kill@2';
/** A buyer of the old gateway is asked to come back; nobody waits longer for a process that is about to be killed. */
const REPLY_MS_MAX = 3_000;
/** The new gateway's buyers. */
const PATIENT_MS = 60_000;
const STATES_MS_MAX = 14_000;
const POLL_MS = 50;
/** Of the burst: enough for each outcome. */
const FIRST_ORDERS = 60;

/** The states in which the old engine must leave orders, so that the new one is shown to carry each of them on. */
const STATES = ['held', 'queued', 'reserved', 'sold', 'failed', 'cancelled'] as const;

/**
 * An upgrade in the middle of a sale. The engine of `old`, another checkout, takes a burst of orders and is killed when
 * there are orders in every state. The engine of this checkout continues with its data: worker, then ingest, then gateway.
 * Every buyer asks again. When all is idle, the guarantees are checked; then all failed orders are replayed, and stock and
 * charges are checked again. Returns what was violated.
 */
// eslint-disable-next-line max-lines-per-function -- four steps that share what they look at
export async function runUpgrade(
  servers: Servers,
  old: Pick<Checkout, 'root' | 'startEngineProcess'>,
  print: (line: string) => void,
): Promise<readonly string[]> {
  const { root, redisAddr, kafkaAddr, temporalAddress, temporal, dataDir, signal } = servers;
  const itemId = 'upgrade' as ItemId;
  const supply = burstUnits(BURST_ORDERS);
  const plan = planBurst(itemId, { orders: BURST_ORDERS, victim: 'worker' });
  const redis = new Redis(`redis://${redisAddr}`);
  const kafka = createKafka('upgrade', [kafkaAddr]);
  const engine = await createEngineInstance({
    checkout: { root, startEngineProcess },
    kafka: [kafkaAddr],
    dataDir,
    signal,
    env: {
      ...servers.env,
      REDIS_ADDR: redisAddr,
      KAFKA_ADDR: kafkaAddr,
      TEMPORAL_ADDRESS: temporalAddress,
      PAYMENT_DECLINE_RATE: '0',
    },
  });
  const topics = await openTopicTail(kafka, engine.topics);
  const sources = { redis, temporal, topics, paymentUrl: engine.paymentUrl, signal };
  try {
    await redis.set(freeUnitsKey(itemId), supply);
    const earlier = await sellWithOld();
    const { entries: left } = await readSnapshot(redis, itemId);
    const missing = STATES.filter((state) => ![...left.values()].some((e) => stateOf(e) === state));
    print(`The old engine leaves ${describe(left)}.`);
    if (missing.length > 0) return [`no order was left ${missing.join(' or ')}`];

    const { buyers, purchases } = await carryOn(earlier);
    const notIdle = await waitForItem(sources, itemId, { told: false });
    const snapshot = await takeSnapshot(sources, buyers, itemId, purchases);
    print(`The new engine has ${describe(snapshot.entries)}.`);
    const found = findViolations({ ...snapshot, supply, stockViolations: [], notIdle, purchases });
    // Orders that were begun by an engine without events end without one.
    const kept = found.filter(({ guarantee }) => guarantee !== 'G12');
    const violations = kept.map(({ guarantee, what }) => `${guarantee} ${what}`);
    return [...violations, ...(await replayFailed())];
  } finally {
    await engine.stop();
    await topics.close();
    redis.disconnect();
  }

  /** Ends when the old engine is dead. Returns what its buyers were told, by request_id. */
  async function sellWithOld(): Promise<ReadonlyMap<string, BuyerResult>> {
    const simulator = await engine.start('simulator', {}, old);
    await setProviderRules(simulator.url);
    const worker = await engine.start('worker', {}, old);
    const ingest = await engine.start('ingest', {}, old);
    const dying = await engine.start('api', { FAILPOINTS: OLD_GATEWAY_DIES }, old);
    const living = await engine.start('api', {}, old);
    const ending = new AbortController();
    const bounds = { replyMsMax: REPLY_MS_MAX, signal: AbortSignal.any([signal, ending.signal]) };
    // Every buyer who waits for the next try listens to it.
    setMaxListeners(0, bounds.signal);
    const buyers = [dying, living].map((api) => createBuyers(api.url, bounds));
    const told = new Map<string, BuyerResult>();
    const buy = (wave: readonly BuyBody[], gateways: readonly Buyers[]) =>
      Promise.allSettled(
        wave.map(async (body, index) => {
          const result = await gateways[index % gateways.length]?.buy(body);
          if (result) told.set(body.request_id, result);
        }),
      );
    // The first orders have ended when the others come, however fast the machine is.
    const first = buy(plan.slice(0, FIRST_ORDERS), buyers.slice(1));
    await untilStates(['sold', 'failed', 'cancelled']);
    const bought = Promise.all([first, buy(plan.slice(FIRST_ORDERS), buyers)]);
    await within(dying.ended(), STATES_MS_MAX, `the death at ${OLD_GATEWAY_DIES}`);
    await untilStates(STATES);
    await Promise.all([ingest, worker, simulator, living].map((part) => part.kill('SIGKILL')));
    ending.abort();
    // Rejected: the buyers who were still asking.
    await bought;
    for (const { close } of buyers) close();
    return told;
  }

  /** Waits until there are orders in each of these states. The dead gateway's holds last as long as their lease. */
  async function untilStates(wanted: readonly string[]): Promise<void> {
    const deadline = performance.now() + STATES_MS_MAX;
    while (performance.now() < deadline) {
      const { entries } = await readSnapshot(redis, itemId);
      const states = new Set([...entries.values()].map(stateOf));
      if (wanted.every((state) => states.has(state))) return;
      await sleep(POLL_MS, undefined, { signal });
    }
  }

  /** Starts the new engine. The buyers without a definite response ask it. */
  async function carryOn(earlier: ReadonlyMap<string, BuyerResult>) {
    const simulator = await engine.start('simulator');
    await setProviderRules(simulator.url);
    await engine.start('worker');
    await engine.start('ingest');
    const api = await engine.start('api');
    const buyers = createBuyers(api.url, { replyMsMax: PATIENT_MS, signal });
    const purchases = plan.map(async (body) => {
      const before = earlier.get(body.request_id);
      const isDefinite = before !== undefined && before.outcome !== 'undecided';
      if (isDefinite && before.cancelled !== 'undecided') return before;
      const after = await buyers.buy(body);
      // The buyer has asked the old engine before, which may have left a claim.
      return { ...after, tries: after.tries + 1 };
    });
    return { buyers, purchases: await Promise.all(purchases) };
  }

  /** Replays every dead letter with the new command, and returns what is wrong with stock and charges afterwards. */
  async function replayFailed(): Promise<readonly string[]> {
    await setProviderRules(engine.paymentUrl, []);
    const words = ['dlq', 'replay', '--why', 'upgrade', '--json'];
    const env = { ...engine.env, OPERATOR: 'upgrade' };
    const cli = join(root, 'dist', 'cli', 'main.js');
    await promisify(execFile)(process.execPath, [cli, ...words], { env, signal });
    const notIdle = await waitForItem(sources, itemId, { told: false });
    const snapshot = await readSnapshot(redis, itemId);
    print(`After replaying the failed orders there are ${describe(snapshot.entries)}.`);
    const charges = await readCharges(engine.paymentUrl, `${itemId}-`);
    return [
      ...(notIdle === undefined ? [] : [notIdle]),
      ...idleViolations(snapshot, { supply, accepted: [] }),
      ...chargeViolations(snapshot.entries, charges),
    ];
  }
}

function stateOf(entry: LedgerEntry): string {
  if (entry.state !== 'released') return entry.state;
  return isCancelled(entry.reason) ? 'cancelled' : 'failed';
}

function describe(entries: ReadonlyMap<string, LedgerEntry>): string {
  const states = [...entries.values()].map(stateOf);
  const counts = STATES.map((state) => [state, states.filter((one) => one === state).length]);
  return counts.map(([state, count]) => `${String(count)} ${String(state)}`).join(', ');
}
