import type { ConfirmResult } from '../orders/ledger';
import type { ItemId, Order } from '../orders/order';
import { parseCancelResult, parseItem, parseReleaseResult, parseReserveResult } from './results';
import { claimKey, countsKey, itemKeys, ordersKey, rejectionsKey } from './keys';
import type { RedisConnection } from '../../platform/redis';
import { defineLedgerScripts } from './scripts';
import type { StockLedger } from './stock-ledger';
import { parseEntry } from './stored-entry';
import { LedgerNotOpenError } from './upkeep/ledger-opening';

/** The ledger on Redis. `redis` should be a connection that waits for Redis to come back. */
export function createStockLedger(redis: RedisConnection): StockLedger {
  defineLedgerScripts(redis);
  return {
    async reserve(order, fence) {
      const reply = await redis.ledgerReserve(
        ...[...itemKeys(order.itemId), rejectionsKey(order.itemId)],
        ...[order.requestId, fence, ...orderArguments(order)],
      );
      return parseReserveResult(reply);
    },

    async confirm({ itemId, requestId, generation, fence, paymentId }) {
      const reply = await redis.ledgerConfirm(
        ...itemKeys(itemId),
        requestId,
        generation,
        fence,
        paymentId,
      );
      return { kind: reply === 'sold' ? 'sold' : 'lost' } satisfies ConfirmResult;
    },

    async release({ order, fence, reason, declined }) {
      const reply = await redis.ledgerRelease(
        ...itemKeys(order.itemId),
        ...[order.requestId, fence, reason, declined ?? 0, ...orderArguments(order)],
      );
      return parseReleaseResult(reply);
    },

    async isRefundable({ itemId, requestId, generation }) {
      // In one instant: where the ledger is lost, a missing entry says nothing, and a yes would refund what is sold.
      const replies = await redis
        .multi()
        .hget(ordersKey(itemId), requestId)
        .hexists(countsKey(itemId), 'opened')
        .exec();
      const [raw, opened] = (replies ?? []).map(([error, value]) => {
        if (error) throw error;
        return value;
      });
      if (opened !== 1) throw new LedgerNotOpenError(itemId);
      if (typeof raw !== 'string') return true;
      const { state, generation: current } = parseEntry(raw);
      return current !== generation || (state !== 'reserved' && state !== 'sold');
    },

    async resolveCharge({ itemId, requestId, generation }) {
      await redis.ledgerSettle(...itemKeys(itemId), requestId, generation);
    },

    async abandon({ itemId, requestId, fingerprint, reason }) {
      await redis.ledgerGiveBack(...itemKeys(itemId), requestId, fingerprint, reason);
    },

    async cancel({ itemId, requestId, userId }) {
      return parseCancelResult(await redis.ledgerCancel(...itemKeys(itemId), requestId, userId));
    },

    async findOrder(requestId) {
      const claim = await redis.get(claimKey(requestId));
      if (claim === null) return undefined;
      const itemId = claim.slice(claim.indexOf('|') + 1) as ItemId;
      const raw = await redis.hget(ordersKey(itemId), requestId);
      return raw === null ? undefined : { itemId, entry: parseEntry(raw) };
    },

    async item(itemId) {
      return parseItem(await redis.ledgerItem(...itemKeys(itemId)));
    },
  };
}

function orderArguments(order: Order) {
  const { userId, amount, fingerprint, priceMinor, currency, acceptedAt } = order;
  return [userId, amount, fingerprint, priceMinor, currency, acceptedAt];
}
