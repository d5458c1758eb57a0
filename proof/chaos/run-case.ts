import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ItemId } from '../../engine/orders/order';
import { freeUnitsKey } from '../../engine/stock/keys';
import { logSize } from '../../stack/processes/last-words';
import { gather } from './books/evidence';
import { findViolations, type Violation } from './books/promises';
import { comeToRest } from './books/rest';
import { nameOf, type ChaosCase } from './cases';
import { whenFired } from './lane/fired';
import type { Lane } from './lane/lane';
import { supervise } from './lane/supervise';
import type { Purchased } from './sale/buyer';
import { appendAbandoned, claimIds, loseSales, occupyIds } from './sale/meddling';
import { watchStock } from './sale/stock-watch';
import { burst, BURST_ORDERS, burstUnits, wish, type Wish } from './sale/wishes';

/** What one sale has shown. */
export interface SaleResult {
  /** Orders whose buyer was told that there is one, and what became of them. */
  readonly accepted: number;
  readonly confirmed: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Requests turned away. */
  readonly rejected: number;
  /** How often the victim has ended by itself after its failpoint, and was started again. */
  readonly restarts: number;
  readonly violations: readonly (Violation | Unreached)[];
}

/** The point was never passed, so that nothing has been shown. */
interface Unreached {
  readonly promise: 'none';
  readonly what: string;
}

export interface CaseResult {
  readonly case: ChaosCase;
  readonly one: SaleResult;
  readonly burst: SaleResult;
  readonly ms: number;
}

/** A second or two on a quiet machine. */
const FIRED_MS_MAX = 90_000;

/** Waits through a freeze for its own answer; half of a crowd does, the other half is gone after seconds. */
const PATIENT_MS = 60_000;
const IMPATIENT_MS = 3_000;

/** Runs one case: one order, then a burst, each with the failpoint armed anew; and checks both once all is at rest. */
export async function runCase(lane: Lane, one: ChaosCase, orders: number): Promise<CaseResult> {
  const startedAt = Date.now();
  const run = `${one.point}-${one.action}-${randomUUID().slice(0, 4)}`;
  // One after the other: what is left of the first must not pass the point that is armed for the burst.
  const single = await runSale(lane, one, oneOrder(`${run}-one`, one), { hit: 1 });
  const itemId = `${run}-burst`;
  const crowd = await runSale(
    lane,
    one,
    {
      itemId: itemId as ItemId,
      supply: burstUnits(orders),
      wishes: burst(itemId, { orders, victim: one.victim }),
    },
    { hit: Math.max(1, Math.round((one.burstHit * orders) / BURST_ORDERS)) },
  );
  return { case: one, one: single, burst: crowd, ms: Date.now() - startedAt };
}

interface Sale {
  readonly itemId: ItemId;
  readonly supply: number;
  readonly wishes: readonly Wish[];
  /** Comes by the other gateway while the first is frozen. */
  readonly rival?: Wish;
}

/** For the gateway's own points there is one unit and two who want it: a hold that has ended must not count twice. */
function oneOrder(itemId: string, { order, victim, action }: ChaosCase): Sale {
  const own = wish(itemId, 0, order === 'late' ? 'plain' : order);
  const soldOut = order === 'late' || order === 'abandoned';
  const contested = victim === 'api' && action === 'freeze' && !soldOut;
  return {
    itemId: itemId as ItemId,
    supply: soldOut ? 0 : 1,
    wishes: [own],
    ...(contested && { rival: wish(itemId, 1, 'plain') }),
  };
}

/** Arms the failpoint, lets the buyers come, does to the victim what the case says, and checks once all is at rest. */
async function runSale(
  lane: Lane,
  one: ChaosCase,
  sale: Sale,
  { hit }: { readonly hit: number },
): Promise<SaleResult> {
  const { signal, buyers } = lane;
  const { itemId, supply, wishes } = sale;
  const victim = lane.process[one.victim];
  await lane.redis.set(freeUnitsKey(itemId), supply);
  await occupyIds(lane.temporal, lane.taskQueue, wishes);
  await claimIds(lane.redis, wishes);
  await victim.restart({ FAILPOINTS: `${nameOf(one)}@${hit}` });
  const armedAt = logSize(victim.logFile);

  const watch = watchStock(lane.ledger, itemId, supply);
  const over = new AbortController();
  const meddling = loseSales(lane.ledger, wishes, over.signal);
  const gateway = lane.process.api.url;
  const buying = wishes.map((each, index) =>
    buyers.buy(gateway, each, index % 2 === 0 ? PATIENT_MS : IMPATIENT_MS),
  );
  // Both end early only when the run is stopped, and are awaited below.
  void Promise.allSettled([...buying, meddling]);
  const fired = await whenFired(victim.logFile, armedAt, { withinMs: FIRED_MS_MAX, signal });
  if (fired && one.action === 'kill') await victim.ended();
  // Also a point that has not fired must not do so when nobody looks any more.
  if (!fired || one.action === 'kill') await victim.restart();
  if (fired && one.action === 'freeze') {
    await sleep(one.freezeMs, undefined, { signal });
    if (sale.rival) {
      buying.push(
        Promise.resolve(await buyers.buy(lane.process.rival.url, sale.rival, PATIENT_MS)),
      );
    }
    await victim.kill('SIGCONT');
  }
  const supervised = supervise(victim, over.signal);

  const purchases = await Promise.all(buying);
  await appendAbandoned(lane.appender, purchases);
  const restless = await comeToRest(lane, itemId);
  over.abort();
  await meddling;
  const restarts = await supervised;
  const seen = (await watch.end()).wrong;
  const evidence = {
    ...(await gather(lane, itemId, purchases)),
    ...{ supply, seen, purchases },
    ...(restless !== undefined && { restless }),
  };
  const violations = findViolations(evidence);
  const unreached = { promise: 'none', what: `${nameOf(one)}@${hit} never fired` } as const;
  return {
    ...tally(purchases, evidence.statuses),
    restarts,
    violations: fired ? violations : [...violations, unreached],
  };
}

function tally(purchases: readonly Purchased[], statuses: ReadonlyMap<string, string>) {
  const ended = (status: string) =>
    purchases.filter(({ wish: { request_id } }) => statuses.get(request_id) === status).length;
  const answered = (...answers: Purchased['answer'][]) =>
    purchases.filter(({ answer }) => answers.includes(answer)).length;
  return {
    accepted: answered('accepted', 'known'),
    confirmed: ended('confirmed'),
    failed: ended('failed'),
    cancelled: ended('cancelled'),
    rejected: answered('rejected'),
  };
}
