import type {
  ArchivedResult,
  CancelResult,
  ConfirmResult,
  LedgerEntry,
  ReleaseResult,
  ReserveResult,
  ReservingRun,
} from '../orders/ledger';
import type { FailureReason, ItemId, Order, ReleaseReason, RequestId } from '../orders/order';
import type { Sale, StockCounts } from '../orders/sale';
import type { RedisConnection } from '../../platform/redis';
import { claimKey, countsKey, itemKeys, ordersKey, readClaim, rejectionsKey } from './keys';
import {
  parseCancelResult,
  parseConfirmResult,
  parseItem,
  parseReleaseResult,
  parseReserveResult,
} from './results';
import { defineLedgerScripts, NO_ORDER_ID } from './scripts';
import { parseEntry } from './stored-entry';

/** One generation of an order: each has a payment of its own. */
export type OrderGeneration = Pick<Order, 'itemId' | 'requestId' | 'orderId'> & {
  readonly generation: number;
};

export type StockLedger = ReturnType<typeof createStockLedger>;

/** For steps that are asked again: the archive knows of no end of the order, so that it has not left the ledger. */
export interface AskedArchive {
  readonly unarchived?: boolean;
}

/**
 * The ledger as the workflow and the readers use it. `redis` should be a connection that waits for Redis to come back.
 *
 * Every method may be sent again, and throws when Redis gives no definite answer. `fence` is the workflow time of a step,
 * in ms since the epoch: the same for each retry of the step, larger for every later step.
 */
export function createStockLedger(redis: RedisConnection) {
  defineLedgerScripts(redis);
  return {
    async reserve(
      order: Order,
      fence: number,
      { start, runId, acceptedMsMax }: ReservingRun = BY_HAND,
      { unarchived }: AskedArchive = {},
    ): Promise<ReserveResult | ArchivedResult> {
      const { itemId, requestId } = order;
      const keys = [...itemKeys(itemId), rejectionsKey(itemId)];
      const rest = [start, runId, acceptedMsMax, flag(unarchived), order.payWithinMs ?? ''];
      const args = [requestId, fence, ...orderArguments(order), ...rest];
      return parseReserveResult(await redis.ledgerReserve(...keys, ...args));
    },

    async confirm(
      step: OrderGeneration & { readonly fence: number; readonly paymentId: string },
      { unarchived }: AskedArchive = {},
    ): Promise<ConfirmResult | ArchivedResult> {
      const { itemId, requestId, orderId = NO_ORDER_ID, generation, fence, paymentId } = step;
      const args = [requestId, generation, fence, paymentId, orderId, flag(unarchived)];
      return parseConfirmResult(await redis.ledgerConfirm(...itemKeys(itemId), ...args));
    },

    /** `declined`: a generation that the provider has declined for certain, so that its charge is resolved. */
    async release(
      step: {
        readonly order: Order;
        readonly fence: number;
        readonly reason: ReleaseReason;
        readonly declined?: number;
      },
      { unarchived }: AskedArchive = {},
    ): Promise<ReleaseResult | ArchivedResult> {
      const { order, fence, reason, declined = 0 } = step;
      const why = [reason, declined];
      const args = [order.requestId, fence, ...why, ...orderArguments(order), flag(unarchived)];
      return parseReleaseResult(await redis.ledgerRelease(...itemKeys(order.itemId), ...args));
    },

    /**
     * Whether the charge of a generation may be refunded: not while the generation is reserved or sold. A released
     * generation never comes back, so `true` stays true.
     */
    async isRefundable(
      step: OrderGeneration,
      { unarchived = false }: AskedArchive = {},
    ): Promise<boolean | 'archived'> {
      const { itemId, orderId, generation } = step;
      const { entry, isOpen, hasArchived } = await readEntry(redis, step);
      // In a lost ledger a missing entry means nothing, and `true` would refund what is sold.
      if (!isOpen) throw notOpen(itemId);
      const isIt = entry !== undefined && entry.orderId === orderId;
      if (!isIt && hasArchived && !unarchived) return 'archived';
      if (!isIt || entry.generation !== generation) return true;
      return entry.state !== 'reserved' && entry.state !== 'sold';
    },

    /** Strikes a generation from the unresolved charges, after its refund. */
    async resolveCharge(step: OrderGeneration): Promise<void> {
      const { itemId, requestId, orderId = NO_ORDER_ID, generation } = step;
      await redis.ledgerResolveCharge(...itemKeys(itemId), requestId, generation, orderId);
    },

    /**
     * Whether an order waits for its first run. `true` also while the ledger is lost: a run that is started in vain does no
     * harm, and without one the order would be forgotten.
     */
    async awaitsRun(order: Pick<Order, 'itemId' | 'requestId' | 'orderId'>): Promise<boolean> {
      const { entry, isOpen } = await readEntry(redis, order);
      if (!isOpen) return true;
      const isWaiting = entry?.state === 'held' || entry?.state === 'queued';
      return isWaiting && entry.orderId === order.orderId;
    },

    /**
     * Ends a held or queued order that will never have a workflow. The entry of another order, or one with a workflow, stays
     * as it is.
     */
    async abandon(
      order: Pick<Order, 'itemId' | 'requestId' | 'orderId' | 'fingerprint'> & {
        reason: FailureReason;
      },
    ): Promise<void> {
      const { itemId, requestId, orderId = NO_ORDER_ID, fingerprint, reason } = order;
      const args = [requestId, fingerprint, reason, orderId];
      await redis.ledgerAbandon(...itemKeys(itemId), ...args);
    },

    /**
     * Cancels an order for its buyer. A queued order ends at once; a reserved one is marked, so that no later step
     * reserves it again, and the caller has to tell its workflow.
     */
    async cancel(order: Pick<Order, 'itemId' | 'requestId' | 'userId'>): Promise<CancelResult> {
      const { itemId, requestId, userId } = order;
      return parseCancelResult(await redis.ledgerCancel(...itemKeys(itemId), requestId, userId));
    },

    /**
     * The entry of an order, in the ledger that its claim names unless the item is known; undefined when there is none. Throws
     * when the ledger is not open, see `isLedgerNotOpen`: then a missing entry means nothing.
     */
    async findOrder(
      requestId: RequestId,
      known?: ItemId,
    ): Promise<{ itemId: ItemId; entry: LedgerEntry } | undefined> {
      const claim = known === undefined ? await redis.get(claimKey(requestId)) : undefined;
      if (claim === null) return undefined;
      const { itemId, isFinished } =
        claim === undefined ? { itemId: known as ItemId, isFinished: false } : readClaim(claim);
      const raw = await redis.hget(ordersKey(itemId), requestId);
      const stored = raw === null ? undefined : parseEntry(raw);
      // It has left the ledger, whatever has become of that; a repeated request may hold units until it is refused.
      if (isFinished && (stored === undefined || stored.state === 'held')) return undefined;
      if (stored) return { itemId, entry: stored };
      const { entry, isOpen } = await readEntry(redis, { itemId, requestId });
      if (!isOpen) throw notOpen(itemId);
      return entry && { itemId, entry };
    },

    /** Whether the order of a request has left the ledger, as its claim says. */
    async hasLeft(requestId: RequestId): Promise<boolean> {
      const claim = await redis.get(claimKey(requestId));
      return claim !== null && readClaim(claim).isFinished;
    },

    /** Undefined for an unknown item. */
    async item(itemId: ItemId): Promise<{ counts: StockCounts; sale: Sale } | undefined> {
      return parseItem(await redis.ledgerItem(...itemKeys(itemId)));
    },
  };
}

const BY_HAND: ReservingRun = { start: 'again', runId: '', acceptedMsMax: 0 };

function flag(isSet = false): number {
  return isSet ? 1 : 0;
}

/** The entry of an order, whether its ledger is open, and whether orders have left that, in one instant. */
async function readEntry(
  redis: RedisConnection,
  { itemId, requestId }: Pick<Order, 'itemId' | 'requestId'>,
): Promise<{
  readonly entry: LedgerEntry | undefined;
  readonly isOpen: boolean;
  readonly hasArchived: boolean;
}> {
  const replies = await redis
    .multi()
    .hget(ordersKey(itemId), requestId)
    .hmget(countsKey(itemId), 'opened', 'archived_until')
    .exec();
  const [raw, fields] = (replies ?? []).map(([error, value]) => {
    if (error) throw error;
    return value;
  });
  const [opened, archivedUntil] = fields as (string | null)[];
  return {
    entry: typeof raw === 'string' ? parseEntry(raw) : undefined,
    isOpen: typeof opened === 'string',
    hasArchived: typeof archivedUntil === 'string',
  };
}

function orderArguments(order: Order): (string | number)[] {
  const { userId, amount, fingerprint, priceMinor, currency, acceptedAt } = order;
  const { orderId = NO_ORDER_ID } = order;
  return [userId, amount, fingerprint, priceMinor, currency, acceptedAt, orderId];
}

/** The first word of the error with which a script refuses to work on a ledger that is not open: new, or lost. */
const NOT_OPEN = 'NOLEDGER';

export function notOpen(itemId: ItemId): Error {
  return new Error(`${NOT_OPEN} the ledger of item ${itemId} is not open`);
}

/** Whether a call failed because the item's ledger is not open. */
export function isLedgerNotOpen(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith(`${NOT_OPEN} `);
}
