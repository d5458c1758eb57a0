import { randomBytes } from 'node:crypto';
import { chargeViolations, idleViolations, named } from '../../../client/invariants';
import { readCharges, readSnapshot } from '../../../client/snapshot';
import type { ItemId } from '../../../engine/orders/order';
import { freeUnitsKey, saleKey } from '../../../engine/stock/keys';
import type { RedisConnection } from '../../../platform/redis';
import type { BenchEnvironment } from '../environment';
import type { Purchases } from '../load/plan';

/** More than a bench can buy. */
export const PLENTY = 100_000_000;

const PRICE_MINOR = 1_000;
const BUY_MS_MAX = 60_000;

/** Puts units on sale under a new item id. */
export async function putOnSale(
  redis: RedisConnection,
  units: number,
  sale: Readonly<Record<string, number>> = {},
): Promise<ItemId> {
  const itemId = `bench-${randomBytes(4).toString('hex')}` as ItemId;
  const fields = Object.entries(sale);
  if (fields.length > 0) await redis.hset(saleKey(itemId), Object.fromEntries(fields));
  await redis.set(freeUnitsKey(itemId), units);
  return itemId;
}

/** A new prefix for the request_ids of one load. */
export function freshPrefix(): string {
  return `req-${randomBytes(6).toString('hex')}`;
}

/** Purchases of one item that nobody has sent before. */
export function freshPurchases(itemId: string): Extract<Purchases, { kind: 'fresh' }> {
  return { kind: 'fresh', itemId, prefix: freshPrefix() };
}

/** Sends the first `count` purchases. Throws unless every one is accepted. */
export async function buyAll(
  { generator }: BenchEnvironment,
  load: { port: number; connections: number; purchases: Purchases; count: number },
): Promise<void> {
  const { port, connections, purchases, count } = load;
  const { responses } = await generator.closedLoop({
    port,
    connections,
    purchases,
    wantedStatus: 202,
    requestsMax: count,
    warmMs: 0,
    measureMs: BUY_MS_MAX,
  });
  if (responses['202'] !== count) {
    throw new Error(`Of ${count} purchases not all were accepted: ${JSON.stringify(responses)}`);
  }
}

/** Compares the ledger, the responses and the provider's charges of an item once it is idle. Returns the violations. */
export async function findViolations(
  redis: RedisConnection,
  sale: {
    readonly itemId: ItemId;
    readonly supply: number;
    /** request_ids that were answered with 202. */
    readonly accepted: readonly string[];
    /** Of all request_ids of the sale. */
    readonly prefix: string;
    readonly paymentUrl: string;
    readonly unitsPerUser?: number;
  },
): Promise<string[]> {
  const { supply, accepted, prefix, paymentUrl, unitsPerUser = Infinity } = sale;
  const snapshot = await readSnapshot(redis, sale.itemId);
  const units = new Map<string, number>();
  const wrongPrice: string[] = [];
  for (const [id, { state, userId, units: bought, priceMinor }] of snapshot.entries) {
    if (priceMinor !== PRICE_MINOR) wrongPrice.push(id);
    if (state === 'sold') units.set(userId, (units.get(userId) ?? 0) + bought);
  }
  const greedy = [...units].filter(([, owned]) => owned > unitsPerUser).map(([user]) => user);
  return [
    ...idleViolations(snapshot, { supply, accepted }),
    ...chargeViolations(snapshot.entries, await readCharges(paymentUrl, prefix)),
    ...named(`orders whose price is not ${PRICE_MINOR}`, wrongPrice),
    ...named(`users who own more than ${unitsPerUser} units`, greedy),
  ];
}
