import { hash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { buyUntilDefinite, isOrder } from '../../client/buyer';
import { createGateway, type BuyBody } from '../../client/gateway';
import { watchStock } from '../../client/invariants';
import type { ItemId } from '../../engine/orders/order';
import { freeUnitsKey, saleKey } from '../../engine/stock/keys';
import type { BuyerResult } from './buyers';
import { openInstance, setProviderRules, type Instance, type Servers } from './instance';
import { findViolations } from './invariants';
import { openPaymentPage } from './payment-page';
import { countsOf, takeSnapshot, waitForItem } from './snapshot';

export interface CrowdOptions {
  /** The same seed: the same buyers, kills and webhooks, as far as the machine lets them be. */
  readonly seed: number;
  readonly units: number;
  readonly buyers: number;
  readonly payWithinMs: number;
}

export type CrowdResult = Awaited<ReturnType<typeof runCheckoutCrowd>>;

/** What a buyer does with the page, by their share. The rest pays at once at a random moment. */
const SHARES = { 'walk-away': 0.2, late: 0.1, challenge: 0.05, 'two-cards': 0.1 } as const;
type Manner = keyof typeof SHARES | 'pays';

/** How the provider's events reach the gateway: three in ten not at all, as many overtaken by others, the rest twice. */
const WEBHOOKS = [
  { kind: 'lost', operation: 'webhook', rate: 0.3 },
  { kind: 'reordered', operation: 'webhook', rate: 0.6 },
  { kind: 'twice', operation: 'webhook' },
] as const;

/** All buyers have come by then. */
const ARRIVALS_MS = 15_000;
/** Long enough for the units of those who walk away to come back, and to be sold to others. */
const COME_BACK_MS = 90_000;
const DECIDED_MS_MAX = 90_000;
const KILL_EVERY_MS = 4_000;
const POLL_MS = 1_000;
const SOCKETS_MAX = 128;

/**
 * A crowd of buyers who pay themselves, while workers and the provider are killed at random and webhooks are lost, doubled and
 * out of order. Returns what became of all, and what must not have been.
 */
export async function runCheckoutCrowd(servers: Servers, options: CrowdOptions) {
  const { seed, units, buyers, payWithinMs } = options;
  const { signal } = servers;
  // Every buyer who waits listens to it.
  setMaxListeners(0, signal);
  const startedAt = Date.now();
  const instance = await openInstance(servers);
  try {
    const { redis, ledger, process } = instance;
    const itemId = `crowd-${seed}-${startedAt.toString(36)}` as ItemId;
    await redis.set(freeUnitsKey(itemId), units);
    await redis.hset(saleKey(itemId), 'pay_within', payWithinMs);
    await setProviderRules(instance.paymentUrl, WEBHOOKS);
    const gateway = createGateway(process.api.url, { socketsMax: SOCKETS_MAX, replyMsMax: 20_000 });
    const watch = watchStock(() => countsOf(ledger, itemId), units);
    const over = new AbortController();
    const killing = killAtRandom(instance, { seed, over: over.signal });
    // Awaited below.
    void Promise.allSettled([killing]);

    const crowd = Array.from({ length: buyers }, (_, index) =>
      buyAndPay({ gateway, signal, random: randomOf(seed, index), payWithinMs }, itemId, index),
    );
    const purchases = await Promise.all(crowd);
    over.abort();
    const kills = await killing;
    gateway.close();
    const notIdle = await waitForItem(instance, itemId);
    const { violations: stockViolations } = await watch.end();
    const snapshot = {
      ...(await takeSnapshot(instance, instance.buyers.patient, itemId, purchases)),
      purchases,
      supply: units,
      notIdle,
      stockViolations,
      archive: await instance.archive.read(itemId, signal),
    };
    const violations = findViolations(snapshot).map(
      ({ guarantee, what }) => `${guarantee} ${what}`,
    );
    const ended = (status: string) =>
      [...snapshot.statuses.values()].filter((one) => one === status).length;
    const charged = (status: string) =>
      snapshot.charges.filter((charge) => charge.status === status).length;
    return {
      seed,
      accepted: purchases.filter(({ outcome }) => outcome !== 'rejected').length,
      confirmed: ended('confirmed'),
      failed: ended('failed'),
      cancelled: ended('cancelled'),
      captured: charged('captured'),
      refunded: charged('refunded'),
      sold: snapshot.counts.sold,
      free: snapshot.counts.free,
      kills,
      ms: Date.now() - startedAt,
      violations,
    };
  } finally {
    await instance.close();
  }
}

/** A number from 0 to below 1 for each use: always the same for the same seed, buyer and purpose. */
function randomOf(seed: number, index: number) {
  return (purpose: string): number =>
    parseInt(hash('sha256', `${seed} ${index} ${purpose}`).slice(0, 8), 16) / 2 ** 32;
}

function mannerOf(random: (purpose: string) => number): Manner {
  let rest = random('manner');
  for (const [manner, share] of Object.entries(SHARES)) {
    if (rest < share) return manner as Manner;
    rest -= share;
  }
  return 'pays';
}

interface Buying {
  readonly gateway: ReturnType<typeof createGateway>;
  readonly signal: AbortSignal;
  readonly random: (purpose: string) => number;
  readonly payWithinMs: number;
}

/** Buys, comes back while units may return, and does with the page what a buyer of this manner does. */
async function buyAndPay(buying: Buying, itemId: ItemId, index: number): Promise<BuyerResult> {
  const { gateway, signal, random } = buying;
  const manner = mannerOf(random);
  const body: BuyBody = {
    user_id: `${itemId}-user-${index}`,
    item_id: itemId,
    amount: 1,
    request_id: `${itemId}-${index}-${manner}`,
  };
  await sleep(random('arrival') * ARRIVALS_MS, undefined, { signal });
  const bounds = { withinMs: DECIDED_MS_MAX, retryMsMax: 1_000, signal };
  const untilMs = performance.now() + COME_BACK_MS;
  for (;;) {
    const purchase: BuyerResult = await buyUntilDefinite(gateway, body, bounds);
    if (isOrder(purchase)) {
      await pay(buying, body.request_id, manner);
      return purchase;
    }
    if (purchase.problem !== 'sold-out' || performance.now() > untilMs) return purchase;
    await sleep(POLL_MS * (1 + random('patience')), undefined, { signal });
  }
}

/** Opens the page and acts on it, until it is too late. */
async function pay(
  { gateway, signal, random, payWithinMs }: Buying,
  requestId: string,
  manner: Manner,
): Promise<void> {
  if (manner === 'walk-away') return;
  const page = await openPaymentPage(gateway, requestId, { withinMs: 3 * payWithinMs, signal });
  if (!page) return;
  const { act, payBy } = page;
  const thinksMs = random('thinks') * 0.8 * (payBy - Date.now());
  const waitMs =
    manner === 'late' ? payBy - Date.now() + random('late') * payWithinMs : Math.max(0, thinksMs);
  await sleep(Math.max(0, waitMs), undefined, { signal });
  if (manner === 'two-cards') await act('decline');
  if (manner === 'challenge') {
    await act('challenge');
    await act('approve-challenge');
    return;
  }
  await act('approve');
}

/** Kills the worker or the provider every few seconds, and starts it again, until `over`. Returns how often each. */
async function killAtRandom(
  { process, paymentUrl }: Instance,
  { seed, over }: { readonly seed: number; readonly over: AbortSignal },
) {
  const kills = { worker: 0, simulator: 0 };
  for (let round = 0; ; round += 1) {
    const random = randomOf(seed, -1 - round);
    const waitMs = KILL_EVERY_MS * (0.5 + random('when'));
    const goesOn = await sleep(waitMs, true, { signal: over }).catch(() => false);
    if (!goesOn) return kills;
    const victim = random('whom') < 0.5 ? 'worker' : 'simulator';
    await process[victim].kill('SIGKILL');
    kills[victim] += 1;
    await process[victim].restart();
    if (victim === 'simulator') await setProviderRules(paymentUrl, WEBHOOKS);
  }
}

/** One line for people. */
export function crowdLine(result: CrowdResult): string {
  const { seed, accepted, confirmed, failed, cancelled, kills, ms, violations } = result;
  const { captured, refunded, sold, free } = result;
  return [
    `seed ${seed}: ${accepted} accepted, ${confirmed} confirmed, ${cancelled} cancelled, ${failed} failed`,
    `${captured} payments kept, ${refunded} refunded; ${sold} units sold, ${free} free`,
    `worker killed ${kills.worker} times, provider ${kills.simulator}`,
    `${Math.round(ms / 1_000)} s, ${violations.length} violations`,
  ].join('; ');
}
