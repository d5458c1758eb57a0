import { randomUUID } from 'node:crypto';
import { once, setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { optionalTsToMs } from '@temporalio/common/lib/time';
import { isOrder } from '../../client/buyer';
import type { BuyBody } from '../../client/gateway';
import { watchStock } from '../../client/invariants';
import type { ItemId } from '../../engine/orders/order';
import { freeUnitsKey, saleKey } from '../../engine/stock/keys';
import { FAILPOINT_FIRED } from '../../platform/failpoints';
import { until } from '../../platform/until';
import type { InstanceProcess } from '../../stack/engine-instance';
import { logSize } from '../../stack/guarded-process';
import { prepareArchiveFault, type Fault } from './archive-faults';
import type { BuyerResult } from './buyers';
import { isInCheckout, nameOf, type ChaosCase } from './cases';
import { payAndGiveBack, PAY_WITHIN_MS } from './checkout-orders';
import { openInstance, setProviderRules, type Instance, type Servers } from './instance';
import { prepareOrders, publishAbandoned, releaseLost } from './interference';
import { findViolations, type Violation } from './invariants';
import {
  BURST_ORDERS,
  burstUnits,
  GIVEN_BACK,
  hasTrait,
  planBurst,
  planCheckoutBurst,
  planOrder,
  PROVIDER_RULES,
} from './orders-plan';
import { countsOf, takeSnapshot, waitForItem } from './snapshot';

export interface CaseResult {
  readonly case: ChaosCase;
  readonly one: SaleResult;
  readonly burst: SaleResult;
  readonly ms: number;
}

export type SaleResult = Awaited<ReturnType<typeof runSale>>;

/**
 * Runs the cases and returns what they have shown, in their order. Throws, after everything that it has started is
 * stopped, when the harness itself cannot go on.
 */
export async function runChaos(
  servers: Servers,
  options: {
    readonly cases: readonly ChaosCase[];
    /** How many orders a burst has. */
    readonly burstOrders: number;
    /** Engine instances that run cases side by side: most of a case is waiting. */
    readonly instances: number;
    readonly onResult: (result: CaseResult) => void;
  },
): Promise<readonly CaseResult[]> {
  const { cases, burstOrders, onResult } = options;
  const results = new Map<ChaosCase, CaseResult>();
  const stopping = new AbortController();
  const signal = AbortSignal.any([servers.signal, stopping.signal]);
  // Every buyer who waits for the next try listens to it.
  setMaxListeners(0, signal);
  const queue = cases.values();

  const work = async () => {
    const instance = await openInstance({ ...servers, signal });
    try {
      // All workers share the iterator.
      for (const one of queue) {
        const result = await runCase(instance, one, burstOrders);
        results.set(one, result);
        onResult(result);
      }
    } finally {
      await instance.close();
    }
  };
  let failure: { readonly cause: unknown } | undefined;
  const working = Array.from({ length: Math.min(options.instances, cases.length) }, () =>
    work().catch((cause: unknown) => {
      // What the other workers throw from now on comes from being stopped.
      failure ??= { cause };
      stopping.abort();
    }),
  );
  await Promise.all(working);
  servers.signal.throwIfAborted();
  if (failure) throw failure.cause;
  return cases.flatMap((one) => results.get(one) ?? []);
}

/** What went wrong in a case, sale by sale. */
export function violationsOf({ one, burst }: CaseResult): readonly string[] {
  const texts = (sale: string, { violations }: SaleResult) =>
    violations.map(({ guarantee, what }) => `${sale}: ${guarantee} ${what}`);
  return [...texts('one order', one), ...texts('burst', burst)];
}

/** Runs one case: one order, then a burst, each with the failpoint set anew and checked once it is idle. */
async function runCase(instance: Instance, one: ChaosCase, orders: number): Promise<CaseResult> {
  const startedAt = Date.now();
  const run = `${one.point}-${one.action}-${randomUUID().slice(0, 4)}`;
  // One after the other: what is left of the first must not pass the failpoint of the burst.
  const single = await runSale(instance, one, planSingle(`${run}-one`, one), one.hit);
  const itemId = `${run}-burst` as ItemId;
  const plan = isInCheckout(one)
    ? planCheckoutBurst(itemId, orders)
    : planBurst(itemId, { orders, victim: one.victim });
  const hit = Math.max(1, Math.round((one.burstHit * orders) / BURST_ORDERS));
  const sale = { itemId, supply: burstUnits(orders), plan, inCheckout: isInCheckout(one) };
  const burst = await runSale(instance, one, sale, hit);
  return { case: one, one: single, burst, ms: Date.now() - startedAt };
}

interface Sale {
  readonly itemId: ItemId;
  readonly supply: number;
  readonly plan: readonly BuyBody[];
  readonly inCheckout: boolean;
  /** Bought at the other gateway while the first one is frozen. */
  readonly atOtherApi?: BuyBody | undefined;
}

/** At the gateway's points two buyers want one unit: a hold that has expired must not count twice. */
function planSingle(itemId: string, one: ChaosCase): Sale {
  const { order, victim, action } = one;
  const isSoldOut = order === 'late' || order === 'abandoned';
  const isHeld = !isSoldOut && !isInCheckout(one);
  const isContested = victim === 'api' && action === 'freeze' && isHeld;
  return {
    itemId: itemId as ItemId,
    supply: isSoldOut ? 0 : 1,
    plan: [planOrder(itemId, 0, order === 'late' ? 'plain' : order)],
    inCheckout: isInCheckout(one),
    atOtherApi: isContested ? planOrder(itemId, 1, 'plain') : undefined,
  };
}

/** Prepares the fault, lets the buyers come, lets it happen, and checks once all is idle. */
async function runSale(instance: Instance, one: ChaosCase, sale: Sale, hit: number) {
  const { redis, signal, archive } = instance;
  const { itemId, supply, plan } = sale;
  await redis.set(freeUnitsKey(itemId), supply);
  if (sale.inCheckout) await redis.hset(saleKey(itemId), 'pay_within', PAY_WITHIN_MS);
  await setProviderRules(instance.paymentUrl, rulesOf(one));
  await prepareOrders(instance, plan);
  await instance.setEager(one.victim !== 'worker');
  const buying: Promise<BuyerResult>[] = [];
  const buyAtOtherApi = async () => {
    if (!sale.atOtherApi) return;
    buying.push(Promise.resolve(await instance.buyers.atOtherApi.buy(sale.atOtherApi)));
  };
  const preparedAt = Date.now();
  const fault = one.fault
    ? await prepareArchiveFault(instance, one.fault, { itemId, archived: hit })
    : await setFailpoint(instance, one, { hit, buyAtOtherApi });
  if (sale.inCheckout && one.victim === 'worker') await readerReads(instance, preparedAt);
  let restarts = 0;
  const { notHappened, ...seen } = await sell(instance, sale, { buying, fault }).finally(
    async () => {
      // Also what was to be seen in the sale has been seen by now: the archive may be away all the time.
      restarts = await fault.end();
    },
  );
  const { purchases, statuses } = seen;
  const archived = await archive.read(itemId, signal);
  const sold = plan.filter((body) => seen.entries.get(body.request_id)?.state === 'sold');
  const violations: (Violation | { guarantee: 'none'; what: string })[] = findViolations({
    ...seen,
    supply: supply + unitsPutBack(sold),
    archive: archived,
  });
  // Then nothing has been shown.
  if (notHappened !== undefined) violations.push({ guarantee: 'none', what: notHappened });

  const ended = (status: string) =>
    purchases.filter(({ body }) => statuses.get(body.request_id) === status).length;
  const decided = (...outcomes: string[]) =>
    purchases.filter(({ outcome }) => outcomes.includes(outcome)).length;
  return {
    /** Orders whose buyer was told that there is one, and what became of them. */
    accepted: decided('accepted', 'duplicate'),
    confirmed: ended('confirmed'),
    failed: ended('failed'),
    cancelled: ended('cancelled'),
    rejected: decided('rejected'),
    /** How often the victim has ended by itself after its failpoint, and was started again. */
    restarts,
    violations,
  };
}

/**
 * Waits until a worker follows the provider's events since then. After a kill that takes as long as the activity's heartbeat
 * may be missed, which is longer than the buyers have to pay.
 */
async function readerReads({ temporal, taskQueue, signal }: Instance, since: number) {
  const reader = temporal.workflow.getHandle(`payment-events/${taskQueue}`);
  const look = async () => {
    const { raw } = await reader.describe();
    const began = (raw.pendingActivities ?? []).map(({ lastStartedTime }) =>
      optionalTsToMs(lastStartedTime),
    );
    if (!began.some((at = 0) => at >= since)) throw new Error('it was started before');
  };
  await until('no worker follows the events', look, { withinMs: 90_000, signal, retryMs: 500 });
}

/**
 * What the provider does. Where a worker of a sale in checkout fails, no webhook comes: the worker itself reads the list of
 * events, and passes the points of that.
 */
function rulesOf(one: ChaosCase): readonly object[] {
  if (!isInCheckout(one)) return PROVIDER_RULES;
  return one.victim === 'worker' ? [{ kind: 'lost', operation: 'webhook' }] : [];
}

/** Units that operators put back when they give back money of these orders. */
function unitsPutBack(orders: readonly BuyBody[]): number {
  return orders.filter((body) => hasTrait(body, 'given-back')).length * GIVEN_BACK.restock;
}

/** Sells until every order has come to its end, whatever fails meanwhile, and looks at everything but the archive. */
async function sell(
  instance: Instance,
  { itemId, supply, plan, inCheckout }: Sale,
  { buying, fault }: { readonly buying: Promise<BuyerResult>[]; readonly fault: Fault },
) {
  const { buyers, ledger } = instance;
  const begunAt = Date.now();
  const supplyMax = supply + unitsPutBack(plan);
  const watch = watchStock(() => countsOf(ledger, itemId), supply, supplyMax);
  const over = new AbortController();
  const releasing = releaseLost(instance, plan, over.signal);
  buying.push(
    ...plan.map(async (body, index) => {
      const { gateway, buy } = index % 2 === 0 ? buyers.patient : buyers.impatient;
      const purchase = await buy(body);
      if (inCheckout && isOrder(purchase)) await payAndGiveBack(instance, gateway, body);
      return purchase;
    }),
  );
  // These reject only when the run is stopped, and are awaited below.
  void Promise.allSettled([...buying, releasing]);
  const notHappened = await fault.happen();

  const purchases = await Promise.all(buying);
  await publishAbandoned(instance, purchases, begunAt);
  const notIdle = await waitForItem(instance, itemId);
  over.abort();
  await releasing;
  const { violations: stockViolations } = await watch.end();
  const snapshot = await takeSnapshot(instance, buyers.atOtherApi, itemId, purchases);
  return { ...snapshot, purchases, notIdle, stockViolations, notHappened };
}

/** Starts the victim with its failpoint set. */
async function setFailpoint(
  { process, startArchiver, signal }: Instance,
  one: ChaosCase,
  { hit, buyAtOtherApi }: { readonly hit: number; readonly buyAtOtherApi: () => Promise<void> },
): Promise<Fault> {
  const victim = process[one.victim];
  await victim.restart({ FAILPOINTS: `${nameOf(one)}@${hit}` });
  const logFrom = logSize(victim.logFile);
  const over = new AbortController();
  let restarting = Promise.resolve(0);
  let otherArchiver: InstanceProcess | undefined;
  return {
    happen: async () => {
      const hasFired = await waitForFailpoint(victim.logFile, logFrom, signal);
      if (hasFired && one.action === 'kill') await victim.ended();
      // A point that has not fired must not do so later, unobserved.
      if (!hasFired || one.action === 'kill') await victim.restart();
      if (hasFired && one.action === 'freeze') {
        // Ready once it has the partitions of the frozen one.
        if (one.victim === 'archiver') otherArchiver = await startArchiver();
        await sleep(one.freezeMs, undefined, { signal });
        await buyAtOtherApi();
        await victim.kill('SIGCONT');
      }
      restarting = restartWhenEnded(victim, over.signal);
      // It rejects only when the run is stopped, and is awaited below.
      void Promise.allSettled([restarting]);
      return hasFired ? undefined : `${nameOf(one)}@${hit} never fired`;
    },
    end: async () => {
      over.abort();
      const restarts = await restarting;
      await otherArchiver?.stop();
      return restarts;
    },
  };
}

/** A second or two on a quiet machine. */
const FIRED_MS_MAX = 90_000;

/** Waits until a process logs that a failpoint fires; `from` is the log's size before. False when it does not in time. */
async function waitForFailpoint(logFile: string, from: number, signal: AbortSignal) {
  const look = () => {
    const isLogged = readFileSync(logFile).subarray(from).includes(FAILPOINT_FIRED);
    return isLogged ? Promise.resolve(true) : Promise.reject(new Error('it has not fired'));
  };
  const bounds = { withinMs: FIRED_MS_MAX, signal };
  return until('no failpoint has fired', look, bounds).catch((error: unknown) => {
    if (signal.aborted) throw error;
    return false;
  });
}

/**
 * Starts a process again, without failpoints, whenever it ends by itself, until `over`, as every deployment does. A frozen
 * process may end when it goes on. Resolves to how often that was.
 */
async function restartWhenEnded(victim: InstanceProcess, over: AbortSignal): Promise<number> {
  const isOver = once(over, 'abort').then(() => true);
  const hasEnded = () => victim.ended().then(() => false);
  let restarts = 0;
  while (!over.aborted && !(await Promise.race([hasEnded(), isOver]))) {
    await victim.restart();
    restarts += 1;
  }
  return restarts;
}
