import { Redis } from 'ioredis';
import type { ItemId } from '../../engine/orders/order';
import { type Admission, createAdmission } from '../../engine/stock/admission';
import type { RedisConnection } from '../../platform/redis';
import { itemKeys } from '../../engine/stock/keys';
import { createStockOperations, type StockOperations } from '../../engine/stock/stock-operations';
import { createStockLedger, type StockLedger } from '../../engine/stock/stock-ledger';
import { redisAddr } from './addresses';
import type { Sale, StockCounts } from '../../engine/orders/sale';

export interface RedisStock<Connection extends RedisConnection = Redis> {
  readonly redis: Connection;
  readonly admission: Admission;
  readonly ledger: StockLedger;
  readonly operations: StockOperations;
  /** What an operator does with redis-cli; the item's ledger is open after it. */
  readonly setFree: (itemId: ItemId, units: number) => Promise<void>;
  /** Opens the item's ledger, past the registry, without touching its units. May be called again. */
  readonly open: (itemId: ItemId) => Promise<void>;
  /** Replaces how a known item is sold. */
  readonly setSale: (itemId: ItemId, sale: Sale) => Promise<void>;
  readonly countsOf: (itemId: ItemId) => Promise<StockCounts>;
}

/** Items of these tests are opened past the registry, as what comes after that is tested. */
export const TOKEN = 'of-a-test';

/** Both doors of the real ledger over one connection, which the caller closes. */
export function openRedisStock(holdLeaseMs?: number): RedisStock {
  return redisStockOn(new Redis(redisAddr()), holdLeaseMs);
}

/** The same over a connection that is there already. */
export function redisStockOn<Connection extends RedisConnection>(
  redis: Connection,
  holdLeaseMs = 15_000,
): RedisStock<Connection> {
  const ledger = createStockLedger(redis);
  const operations = createStockOperations(redis);
  return {
    redis,
    ledger,
    operations,
    admission: createAdmission(redis, {
      claimTtlMs: 600_000,
      orderRetentionMs: 3_600_000,
      defaultPrice: { priceMinor: 1000, currency: 'USD' },
      holdLeaseMs,
    }),
    setFree: async (itemId, units) => {
      const keys = itemKeys(itemId);
      const replies = await redis
        .pipeline()
        .set(`inventory:${itemId}`, units)
        .ledgerOpen(...keys, 'begin', TOKEN)
        .ledgerOpen(...keys, 'finish', TOKEN)
        .exec();
      for (const [error] of replies ?? []) if (error) throw error;
    },
    open: async (itemId) => {
      await redis.ledgerOpen(...itemKeys(itemId), 'begin', TOKEN);
      await redis.ledgerOpen(...itemKeys(itemId), 'finish', TOKEN);
    },
    setSale: async (itemId, sale) => {
      const answer = await operations.changeSale(
        itemId,
        { ...NO_SALE, ...sale },
        { by: 'test', force: true },
      );
      if (answer.kind !== 'changed') throw new Error(`The sale was not changed: ${answer.kind}`);
    },
    countsOf: async (itemId) => {
      const item = await ledger.item(itemId);
      if (!item) throw new Error(`${itemId} is not known`);
      return item.counts;
    },
  };
}

const NO_SALE = {
  ...{ priceMinor: null, currency: null, unitsPerUser: null, opensAt: null, closesAt: null },
};
