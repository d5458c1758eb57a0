import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ITEM_ID, ORDER_WORKFLOW } from '../../engine/orders/contract';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { ItemId, RequestId } from '../../engine/orders/order';
import type { ClaimOrder } from '../../engine/stock/claims';
import { isLedgerNotOpen, type StockLedger } from '../../engine/stock/stock-ledger';
import { readFromRedis, RequestError, type ErrorLog } from '../http/errors';

/** Questions to Temporal at once, and in a second. A lost claim is rare; made-up ids must not become a load on Temporal. */
const LOOKUPS_MAX = 8;
const LOOKUPS_PER_SECOND = 50;

/** A negative result is reused for this long. It hides no new order: that one has a claim, which is read first. */
const MISS_MS = 5_000;
const MISSES_MAX = 10_000;

export interface FoundOrder {
  readonly itemId: ItemId;
  readonly entry: LedgerEntry;
}

/**
 * Finds the entry of an order; undefined when the ledger has none. Throws a RequestError when that cannot be told, as while
 * the ledger of its item is lost.
 */
export type OrderLookup = (requestId: RequestId) => Promise<FoundOrder | undefined>;

/**
 * Finds orders by their claims. Where an order has none (its gateway died before it prolonged the claim, or the claim has
 * expired), the item comes from the order's run, and the claim is written again.
 */
export function createOrderLookup({
  ledger,
  findItem,
  claim,
  errors,
  now = () => performance.now(),
}: {
  readonly ledger: Pick<StockLedger, 'findOrder'>;
  /** Absent, in tests: without a claim no order is found. */
  readonly findItem?: FindItem | undefined;
  readonly claim?: ClaimOrder | undefined;
  readonly errors: ErrorLog;
  /** Milliseconds on a steady clock. */
  readonly now?: () => number;
}): OrderLookup {
  const misses = createMisses(now);
  const hasRoom = createBudget(LOOKUPS_PER_SECOND, now);
  const running = new Map<RequestId, Promise<FoundOrder | undefined>>();

  const read = (requestId: RequestId, itemId?: ItemId) =>
    readFromRedis(
      ledger.findOrder(requestId, itemId).catch((error: unknown) => {
        if (isLedgerNotOpen(error)) return 'ledger-lost' as const;
        throw error;
      }),
      requestId,
    );

  const lookUp = async (requestId: RequestId, find: FindItem) => {
    const itemId = await find(requestId).catch((cause: unknown) => {
      throw unanswered('Temporal gave no answer', requestId, cause);
    });
    const found = itemId && unlessLost(await read(requestId, itemId), requestId);
    if (!found) {
      misses.add(requestId);
      return undefined;
    }
    const { fingerprint } = found.entry;
    await claim?.({ requestId, itemId: found.itemId, fingerprint }).catch((error: unknown) => {
      errors.report('the claim of an order was not written again', error, { requestId });
    });
    return found;
  };

  return async (requestId) => {
    const claimed = await read(requestId);
    // The claim may be another request's, which took the id of this order while that had no claim, or was rejected and has
    // left its claim behind.
    const isReused = claimed !== 'ledger-lost' && claimed?.entry.reason === 'request-id-reused';
    const isFound = claimed !== 'ledger-lost' && claimed !== undefined && !isReused;
    if (isFound || !findItem || misses.has(requestId)) return unlessLost(claimed, requestId);
    const same = running.get(requestId);
    if (same) return same;
    if (running.size >= LOOKUPS_MAX || !hasRoom()) {
      throw unanswered('Temporal is asked for too many orders already', requestId);
    }
    const started = lookUp(requestId, findItem)
      .then((found) => found ?? unlessLost(claimed, requestId))
      .finally(() => running.delete(requestId));
    running.set(requestId, started);
    return started;
  };
}

function unlessLost<T>(found: T | 'ledger-lost', requestId: RequestId): T {
  if (found === 'ledger-lost') throw unanswered('The ledger of the item is lost', requestId);
  return found;
}

function unanswered(message: string, requestId: RequestId, cause?: unknown): RequestError {
  return new RequestError(message, { problem: 'not-accepted', requestId, cause });
}

/** The last ids without an order, each until MISS_MS after it was looked up. */
function createMisses(now: () => number) {
  const until = new Map<RequestId, number>();
  return {
    has: (requestId: RequestId): boolean => (until.get(requestId) ?? 0) > now(),
    add: (requestId: RequestId): void => {
      until.delete(requestId);
      until.set(requestId, now() + MISS_MS);
      const [oldest] = until.keys();
      if (until.size > MISSES_MAX && oldest !== undefined) until.delete(oldest);
    },
  };
}

/** Returns a function that is true at most `perSecond` times in each second. */
function createBudget(perSecond: number, now: () => number) {
  let second = -Infinity;
  let used = 0;
  return (): boolean => {
    if (now() - second >= 1_000) {
      second = now();
      used = 0;
    }
    used += 1;
    return used <= perSecond;
  };
}

/** The item of the latest run of an order; undefined when there is none. Throws when Temporal does not answer. */
export type FindItem = (requestId: RequestId) => Promise<ItemId | undefined>;

/** A buyer waits for the answer. */
const CALL_MS_MAX = 1_500;

export function createFindItem(client: Client): FindItem {
  return async (requestId) => {
    try {
      const run = await client.withDeadline(Date.now() + CALL_MS_MAX, () =>
        client.workflow.getHandle(requestId).describe(),
      );
      return run.type === ORDER_WORKFLOW
        ? (run.typedSearchAttributes.get(ITEM_ID) as ItemId | undefined)
        : undefined;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };
}
