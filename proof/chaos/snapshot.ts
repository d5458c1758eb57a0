import {
  readCharges,
  readSnapshot,
  underWay,
  waitUntilIdle,
  type Charge,
} from '../../client/snapshot';
import type { LedgerEntry } from '../../engine/orders/ledger';
import { LATE_PAYMENT_WORKFLOW, ORDER_WORKFLOW } from '../../engine/orders/contract';
import { REFUND_WORKFLOW, RETURNS_WORKFLOW } from '../../engine/orders/refund';
import type { OrderEvent } from '../../engine/orders/order-event';
import type { ReturnEvent } from '../../engine/orders/return-event';
import type { ItemId, Order, RequestId } from '../../engine/orders/order';
import { claimKey, itemKeys } from '../../engine/stock/keys';
import { readEvents } from '../../engine/stock/stored-entry';
import { describeError } from '../../platform/user-error';
import type { ArchivedItem } from './archived-item';
import type { BuyerResult, Buyers } from './buyers';
import type { Instance } from './instance';
import type { StockCounts } from '../../engine/orders/sale';

/** The longest a claim may live whose order was never accepted: the default of IDEMPOTENCY_TTL. */
export const CLAIM_MS_MAX = 600_000;

/** What each independent source says of one item, once nothing of it is under way. */
export interface Snapshot {
  readonly supply: number;
  /** What was wrong with the stock at any moment of the sale. */
  readonly stockViolations: readonly string[];
  /** What was still under way when the wait for it ended; undefined: nothing. */
  readonly notIdle?: string | undefined;
  readonly purchases: readonly BuyerResult[];
  /** Status by request_id, as the gateway tells it. */
  readonly statuses: ReadonlyMap<string, string>;
  readonly counts: StockCounts;
  readonly entries: ReadonlyMap<string, LedgerEntry>;
  /** Units by user, as the ledger counts them for the purchase limit. */
  readonly buyers: ReadonlyMap<string, number>;
  /** request_ids whose hold was taken away after its lease. */
  readonly reclaimed: ReadonlySet<string>;
  /** Milliseconds left of the claims of rejected requests; absent: no claim. */
  readonly claims: ReadonlyMap<string, number>;
  readonly runs: readonly WorkflowRun[];
  readonly charges: readonly Charge[];
  /** request_ids in the topic of orders, repeats included. */
  readonly records: readonly string[];
  readonly letters: readonly {
    readonly id: string;
    readonly requestId?: string | undefined;
    readonly reason: string;
  }[];
  /** What other systems were told, repeats included. */
  readonly events: readonly OrderEvent[];
  readonly returns: readonly ReturnEvent[];
  /** The ids under which the topics name an order: of each acceptance, and of each event. */
  readonly orderIds: ReadonlySet<string>;
  /** Absent: there is no archiver. */
  readonly archive?: ArchivedItem | undefined;
}

interface WorkflowRun {
  readonly requestId: string;
  /** Temporal's word: RUNNING, COMPLETED, FAILED ... */
  readonly status: string;
  /** The search attribute OrderOutcome: why it failed. */
  readonly outcome?: string | undefined;
}

/** The part of an instance that tells what has become of an item. */
export type Sources = Pick<Instance, 'redis' | 'temporal' | 'topics' | 'paymentUrl' | 'signal'>;

/** Asks Redis, Temporal, Kafka, the payment provider and, through `buyers`, a gateway. */
export async function takeSnapshot(
  instance: Sources,
  buyers: Pick<Buyers, 'statusesOf'>,
  itemId: ItemId,
  purchases: readonly BuyerResult[],
): Promise<Omit<Snapshot, 'supply' | 'stockViolations' | 'notIdle' | 'purchases' | 'archive'>> {
  const { redis, topics } = instance;
  const [, , , buyersKey = ''] = itemKeys(itemId);
  const units = Object.entries(await redis.hgetall(buyersKey));
  const events = await readEvents(redis, itemId);
  const reclaimed = events.filter(({ state }) => state === 'reclaimed');
  const idsOf = (isRejected: boolean) =>
    purchases
      .filter(({ outcome }) => (outcome === 'rejected') === isRejected)
      .map(({ body }) => body.request_id);
  const claims = new Map<string, number>();
  for (const id of idsOf(true)) {
    const leftMs = await redis.pttl(claimKey(id as RequestId));
    // -2: there is none.
    if (leftMs !== -2) claims.set(id, leftMs);
  }
  return {
    ...(await readSnapshot(redis, itemId)),
    statuses: await buyers.statusesOf(idsOf(false)),
    buyers: new Map(units.map(([user, count]) => [user, Number(count)])),
    reclaimed: new Set(reclaimed.flatMap(({ order }) => (order ? [order.requestId] : []))),
    claims,
    runs: await readRuns(instance, itemId),
    charges: await readCharges(instance.paymentUrl, `${itemId}-`),
    records: topics.records(itemId).map(({ requestId }) => requestId),
    letters: topics.letters(itemId),
    events: topics.events(itemId),
    returns: topics.returns(itemId),
    orderIds: new Set([
      ...topics.records(itemId).map(orderIdOf),
      ...topics.events(itemId).map(({ order }) => order.orderId),
    ]),
  };
}

/** Records that are older than order ids have none: the archive keeps such an order under its request_id and time. */
export function orderIdOf({
  orderId,
  requestId,
  acceptedAt,
}: Pick<Order, 'orderId' | 'acceptedAt'> & { readonly requestId: string }): string {
  return orderId ?? `${requestId}@${acceptedAt}`;
}

/** What else runs for orders, after their own workflows. */
const AFTER_THE_SALE = [REFUND_WORKFLOW, RETURNS_WORKFLOW, LATE_PAYMENT_WORKFLOW];

/** The stock of an item that is on sale. */
export async function countsOf(
  ledger: Pick<Instance['ledger'], 'item'>,
  itemId: ItemId,
): Promise<StockCounts> {
  const item = await ledger.item(itemId);
  if (!item) throw new Error(`the ledger does not know ${itemId}`);
  return item.counts;
}

/** Every run of every order workflow of an item, by Temporal's own index. */
async function readRuns(
  { temporal }: Pick<Instance, 'temporal'>,
  itemId: string,
): Promise<WorkflowRun[]> {
  const runs: WorkflowRun[] = [];
  // The item's entry in the registry of ledgers is a workflow with its id, too, and stays open.
  const query = `WorkflowType = '${ORDER_WORKFLOW}' AND ItemId = '${itemId}'`;
  for await (const found of temporal.workflow.list({ query })) {
    const attributes = found.typedSearchAttributes.getAll();
    const outcome = attributes.find(({ key }) => key.name === 'OrderOutcome')?.value;
    runs.push({
      requestId: found.workflowId,
      status: found.status.name,
      outcome: typeof outcome === 'string' ? outcome : undefined,
    });
  }
  return runs;
}

/**
 * Attempts of a dead worker time out after 20 s, a lost workflow task after 10 s, one after the other: when nothing has
 * changed for so long, nothing will.
 */
const STUCK_MS = 90_000;
/** However slow the machine is. */
const IDLE_MS_MAX = 300_000;

/**
 * Waits until nothing of the item is under way anywhere: no unit between free and sold, no unresolved charge, no open
 * workflow, no record without a workflow and, unless `told` is false, no order without an event. Returns what is still
 * under way when that takes too long.
 */
export async function waitForItem(
  instance: Sources,
  itemId: ItemId,
  { told = true }: { readonly told?: boolean } = {},
): Promise<string | undefined> {
  const { redis, topics, signal } = instance;
  const look = async (): Promise<string | undefined> => {
    const inLedger = underWay(await readSnapshot(redis, itemId));
    if (inLedger !== undefined) return inLedger;
    const runs = await readRuns(instance, itemId);
    const open = runs.filter(({ status }) => status === 'RUNNING');
    if (open.length > 0) return `${open.length} workflows are running`;
    const { count } = await instance.temporal.workflow.count(
      `WorkflowType IN ('${AFTER_THE_SALE.join("', '")}') AND ItemId = '${itemId}' AND ExecutionStatus = 'Running'`,
    );
    if (count > 0) return `${count} refunds are under way`;
    await topics.catchUp(signal);
    const handled = new Set([
      ...runs.map(({ requestId }) => requestId),
      ...topics.letters(itemId).map(({ requestId }) => requestId),
    ]);
    const records = topics.records(itemId).map(({ requestId }) => requestId);
    const waiting = records.filter((id) => !handled.has(id));
    if (waiting.length > 0) return `no workflow for ${[...new Set(waiting)].join(', ')}`;
    if (!told) return undefined;
    // The event of an order without a run comes after everything else of it.
    const { entries } = await readSnapshot(redis, itemId);
    const inTopic = new Set(topics.events(itemId).map(({ order }) => order.orderId));
    const untold = [...entries].filter(([, { orderId }]) => orderId && !inTopic.has(orderId));
    return untold.length > 0 ? `no event of ${untold.map(([id]) => id).join(', ')}` : undefined;
  };
  try {
    await waitUntilIdle(look, { withinMs: IDLE_MS_MAX, stuckMs: STUCK_MS, signal });
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return describeError(error);
  }
}
