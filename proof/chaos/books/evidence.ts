import type { LedgerEntry, StockCounts } from '../../../engine/orders/ledger';
import type { ItemId, RequestId } from '../../../engine/orders/order';
import { entriesOf } from '../../../engine/stock/stored-entry';
import { readEvents } from '../../../engine/stock/stored-events';
import { claimKey, itemKeys } from '../../../engine/stock/keys';
import type { Lane } from '../lane/lane';
import type { Purchased } from '../sale/buyer';
import { ORDER_WORKFLOW } from '../../../engine/orders/contract';

/** The longest a claim may live whose order was never accepted: the default of IDEMPOTENCY_TTL. */
export const CLAIM_MS_MAX = 600_000;

export interface Run {
  readonly requestId: string;
  /** Temporal's word: RUNNING, COMPLETED, FAILED ... */
  readonly status: string;
  /** The search attribute OrderOutcome: why it failed. */
  readonly outcome?: string;
}

export interface Charge {
  readonly key: string;
  readonly status: string;
  /** Minor units; null for a key that was only blocked. */
  readonly amount: number | null;
}

/** What each independent witness says of one item, once it has come to rest. */
export interface Evidence {
  readonly supply: number;
  /** Faults that a look at the stock has seen meanwhile. */
  readonly seen: readonly string[];
  /** Why the item did not come to rest; absent when it did. */
  readonly restless?: string;
  readonly purchases: readonly Purchased[];
  /** Status by request_id, as the gateway tells it. */
  readonly statuses: ReadonlyMap<string, string>;
  readonly counts: StockCounts;
  readonly entries: ReadonlyMap<string, LedgerEntry>;
  /** Units by user, by the ledger's own book. */
  readonly buyers: ReadonlyMap<string, number>;
  /** request_ids whose hold was taken away after its lease. */
  readonly reclaimed: ReadonlySet<string>;
  /** Milliseconds left of the claims of rejected requests; absent: no claim. */
  readonly claims: ReadonlyMap<string, number>;
  readonly runs: readonly Run[];
  readonly charges: readonly Charge[];
  /** request_ids in the topic of orders, repeats included. */
  readonly records: readonly string[];
  readonly letters: readonly { id: string; requestId?: string; reason: string }[];
}

type Gathered = Omit<Evidence, 'supply' | 'seen' | 'restless' | 'purchases'>;

/** Asks everybody: Redis, Temporal, Kafka, the payment provider, and the gateway. */
export async function gather(
  lane: Lane,
  itemId: ItemId,
  purchases: readonly Purchased[],
): Promise<Gathered> {
  const { redis, ledger, tap, process } = lane;
  const [, , , buyersKey = ''] = itemKeys(itemId);
  const item = await ledger.item(itemId);
  if (!item) throw new Error(`The ledger does not know ${itemId}`);
  const entries = await entriesOf(redis, itemId);
  const buyers = Object.entries(await redis.hgetall(buyersKey));
  const events = await readEvents(redis, itemId);
  const rejected = purchases.filter(({ answer }) => answer === 'rejected');
  return {
    statuses: await statusesOf(process.rival.url, purchases),
    counts: item.counts,
    entries,
    buyers: new Map(buyers.map(([user, units]) => [user, Number(units)])),
    reclaimed: new Set(
      events.flatMap(({ state, order }) =>
        state === 'reclaimed' && order ? [order.requestId] : [],
      ),
    ),
    claims: await claimsOf(lane, rejected),
    runs: await runsOf(lane, itemId),
    charges: await chargesOf(process.simulator.url, itemId),
    records: tap.records(itemId),
    letters: tap.letters(itemId).map(({ id, requestId, reason }) => ({
      ...{ id, reason },
      ...(requestId !== undefined && { requestId }),
    })),
  };
}

/** Every run of every workflow of an item, by Temporal's own index. */
export async function runsOf({ temporal }: Pick<Lane, 'temporal'>, itemId: string): Promise<Run[]> {
  const runs: Run[] = [];
  // The item's entry in the registry has its id, too, and stays open.
  const query = `WorkflowType = '${ORDER_WORKFLOW}' AND ItemId = '${itemId}'`;
  for await (const found of temporal.workflow.list({ query })) {
    const outcome = found.typedSearchAttributes
      .getAll()
      .find(({ key }) => key.name === 'OrderOutcome')?.value;
    runs.push({
      requestId: found.workflowId,
      status: found.status.name,
      ...(typeof outcome === 'string' && { outcome }),
    });
  }
  return runs;
}

async function chargesOf(simulator: string, itemId: string): Promise<Charge[]> {
  const response = await fetch(`${simulator}/ledger`);
  const rows = (await response.json()) as Charge[];
  return rows.filter(({ key }) => key.startsWith(`${itemId}-`));
}

async function statusesOf(gateway: string, purchases: readonly Purchased[]) {
  const statuses = new Map<string, string>();
  for (const { wish, answer } of purchases) {
    if (answer === 'rejected') continue;
    const response = await fetch(`${gateway}/orders/${wish.request_id}`);
    const order = (await response.json()) as { status?: unknown };
    statuses.set(wish.request_id, String(order.status));
  }
  return statuses;
}

async function claimsOf({ redis }: Lane, rejected: readonly Purchased[]) {
  const claims = new Map<string, number>();
  for (const { wish } of rejected) {
    const leftMs = await redis.pttl(claimKey(wish.request_id as RequestId));
    // -2: there is none.
    if (leftMs !== -2) claims.set(wish.request_id, leftMs);
  }
  return claims;
}
