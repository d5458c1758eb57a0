import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { Archive, ArchivedEvent, ArchivedOrder } from '../../engine/archive/archive';
import { ITEM_ID, ORDER_WORKFLOW } from '../../engine/orders/contract';
import type { LedgerEntry } from '../../engine/orders/ledger';
import type { ItemId, RequestId } from '../../engine/orders/order';
import type { SaleReturn } from '../../engine/orders/sale-return';
import type { ClaimOrder } from '../../engine/stock/claims';
import { isLedgerNotOpen, type StockLedger } from '../../engine/stock/stock-ledger';
import { createRecent } from '../../platform/recent';
import { readFromArchive, readFromRedis, RequestError, type ErrorLog } from '../http/errors';
import { createBudget } from '../http/limits';

/**
 * Look-ups in Temporal and the archive at once, and in a second. An order that Redis does not know is rare during its sale;
 * made-up ids must not become a load on either.
 */
const LOOKUPS_MAX = 8;
const LOOKUPS_PER_SECOND = 50;

/**
 * What Temporal and the archive say is reused for this long, also that they have no such order. It hides no new order: that
 * one has a claim, which is read first.
 */
const RESULT_MS = 5_000;
const RESULTS_MAX = 10_000;

/** An order with an entry in the ledger. */
export interface LiveOrder {
  readonly itemId: ItemId;
  readonly entry: LedgerEntry;
}

/** An order that only the archive has. */
export interface FinishedOrder {
  readonly archived: ArchivedOrder;
  readonly events: readonly ArchivedEvent[];
  readonly returns: readonly SaleReturn[];
}

/**
 * Finds an order; undefined when there is none. Throws a RequestError when that cannot be told, as while the ledger of its
 * item is lost, or while the archive is away.
 */
export type OrderLookup = (requestId: RequestId) => Promise<LiveOrder | FinishedOrder | undefined>;

/**
 * Finds orders by their claims. Where an order has none (its gateway died before it prolonged the claim, or the claim has
 * expired), the item comes from the order's run, and the claim is written again. What the ledger does not know, the archive
 * may.
 */
export function createOrderLookup({
  ledger,
  findItem,
  isRetired,
  claim,
  archive,
  errors,
  now = () => performance.now(),
}: {
  readonly ledger: Pick<StockLedger, 'findOrder' | 'hasLeft'>;
  /** Absent, in tests: without a claim no order is found. */
  readonly findItem?: FindItem | undefined;
  /** Whether an item whose ledger is not open is retired: then only the archive has its orders. Absent: none is. */
  readonly isRetired?: ((itemId: ItemId) => Promise<boolean>) | undefined;
  readonly claim?: ClaimOrder | undefined;
  /** Absent: what the ledger does not know is unknown. */
  readonly archive?: Pick<Archive, 'newestOrder' | 'eventsOf' | 'returnsOf'> | undefined;
  readonly errors: ErrorLog;
  /** Milliseconds on a steady clock. */
  readonly now?: () => number;
}): OrderLookup {
  const results = createResults(now);
  const hasRoom = createBudget(LOOKUPS_PER_SECOND, now);
  const running = new Map<RequestId, Promise<LiveOrder | FinishedOrder | undefined>>();

  const read = (requestId: RequestId, itemId?: ItemId) =>
    readFromRedis(
      ledger.findOrder(requestId, itemId).catch((error: unknown) => {
        if (isLedgerNotOpen(error)) return 'ledger-lost' as const;
        throw error;
      }),
      requestId,
    );

  const findByRun = async (requestId: RequestId): Promise<LiveOrder | undefined> => {
    const noAnswer = (cause: unknown) => {
      throw unanswered('Temporal gave no answer', requestId, cause);
    };
    const itemId = await findItem?.(requestId).catch(noAnswer);
    const live = itemId && (await read(requestId, itemId));
    if (live === 'ledger-lost' && (await isRetired?.(itemId as ItemId).catch(noAnswer))) return;
    const found = live && unlessLost(live, requestId);
    // A hold is no order yet, and none at all of a request that is repeated after its order has left the ledger.
    if (!found || found.entry.state === 'held') return undefined;
    const { fingerprint } = found.entry;
    await claim?.({ requestId, itemId: found.itemId, fingerprint }).catch((error: unknown) => {
      errors.report('the claim of an order was not written again', error, { requestId });
    });
    return found;
  };

  const findArchived = async (requestId: RequestId): Promise<FinishedOrder | undefined> => {
    if (!archive) return undefined;
    const archived = await readFromArchive(archive.newestOrder(requestId), requestId);
    if (!archived) return undefined;
    const events = await readFromArchive(archive.eventsOf(archived.orderId), requestId);
    const returns = await readFromArchive(archive.returnsOf(archived.orderId), requestId);
    return { archived, events, returns };
  };

  const lookUp = async (requestId: RequestId, claimed: Claimed) => {
    const found = await findByRun(requestId);
    if (found) return found;
    // Of an item whose ledger is lost the archive may have less than has happened.
    const archived = claimed === 'ledger-lost' ? undefined : await findArchived(requestId);
    if (!archived && !claimed && (await readFromRedis(ledger.hasLeft(requestId), requestId))) {
      throw unanswered('The archive misses an order that has left the ledger', requestId);
    }
    results.add(requestId, archived);
    return preferred(archived, claimed, requestId);
  };

  return async (requestId) => {
    const claimed = await read(requestId);
    // The claim may be another request's, which took the id of this order while that had no claim, or was rejected and has
    // left its claim behind.
    if (claimed !== 'ledger-lost' && claimed && !isReused(claimed)) return claimed;
    if (!findItem && !archive) return unlessLost(claimed, requestId);
    const result = results.get(requestId);
    if (result) return preferred(result.found, claimed, requestId);
    const same = running.get(requestId);
    if (same) return same;
    if (running.size >= LOOKUPS_MAX || !hasRoom()) {
      throw unanswered('Temporal and the archive are asked for too many orders', requestId);
    }
    const started = lookUp(requestId, claimed).finally(() => running.delete(requestId));
    running.set(requestId, started);
    return started;
  };
}

/** What Redis says of a request_id. */
type Claimed = LiveOrder | 'ledger-lost' | undefined;

function isReused({ entry }: LiveOrder): boolean {
  return entry.reason === 'request-id-reused';
}

/** An order that was refused because its id is another's is shown only where that one is not known. */
function preferred(archived: FinishedOrder | undefined, claimed: Claimed, requestId: RequestId) {
  const isBetter = archived && archived.archived.reason !== 'request-id-reused';
  if (claimed !== 'ledger-lost' && isBetter) return archived;
  return unlessLost(claimed, requestId) ?? archived;
}

function unlessLost<T>(found: T | 'ledger-lost', requestId: RequestId): T {
  if (found === 'ledger-lost') throw unanswered('The ledger of the item is lost', requestId);
  return found;
}

function unanswered(message: string, requestId: RequestId, cause?: unknown): RequestError {
  return new RequestError(message, { problem: 'not-accepted', requestId, cause });
}

/** The last results, each until RESULT_MS after its look-up. */
function createResults(now: () => number) {
  interface Result {
    readonly found: FinishedOrder | undefined;
    readonly until: number;
  }
  const results = createRecent<RequestId, Result>(RESULTS_MAX);
  return {
    get: (requestId: RequestId): Result | undefined => {
      const result = results.get(requestId);
      return result && result.until > now() ? result : undefined;
    },
    add: (requestId: RequestId, found: FinishedOrder | undefined): void => {
      results.set(requestId, { found, until: now() + RESULT_MS });
    },
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
