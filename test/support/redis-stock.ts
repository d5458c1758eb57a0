import { Redis } from 'ioredis';
import type { ItemId } from '../../engine/orders/order';
import { type Admission, createAdmission } from '../../engine/stock/admission';
import type { RedisConnection } from '../../platform/redis';
import { itemKeys } from '../../engine/stock/keys';
import {
  createLedgerMaintenance,
  type LedgerMaintenance,
} from '../../engine/stock/ledger-maintenance';
import { createStockOperations, type StockOperations } from '../../engine/stock/stock-operations';
import { createStockLedger, type StockLedger } from '../../engine/stock/stock-ledger';
import { redisAddr } from './addresses';
import type { Sale, StockCounts } from '../../engine/orders/sale';

export interface RedisStock<Connection extends RedisConnection = Redis> {
  readonly redis: Connection;
  readonly admission: Admission;
  readonly ledger: StockLedger;
  readonly operations: StockOperations;
  readonly maintenance: LedgerMaintenance;
  /** The same as SET inventory:<item>. Also opens the item's ledger. */
  readonly setFree: (itemId: ItemId, units: number) => Promise<void>;
  /** Opens the item's ledger without the registry and without changing its units. Idempotent. */
  readonly open: (itemId: ItemId) => Promise<void>;
  /** Replaces the sale of a known item. */
  readonly setSale: (itemId: ItemId, sale: Sale) => Promise<void>;
  readonly countsOf: (itemId: ItemId) => Promise<StockCounts>;
}

/** The tests open ledgers without the registry, since they test what happens after that. */
export const TOKEN = 'of-a-test';

/** Admission, ledger and operations on the real Redis, over one connection that the caller closes. */
export function openRedisStock(holdLeaseMs?: number): RedisStock {
  return redisStockOn(new Redis(redisAddr()), holdLeaseMs);
}

/** The same over an existing connection. */
export function redisStockOn<Connection extends RedisConnection>(
  redis: Connection,
  holdLeaseMs = 15_000,
): RedisStock<Connection> {
  const ledger = createStockLedger(redis);
  const operations = createStockOperations(redis);
  return {
    redis,
    maintenance: createLedgerMaintenance(redis),
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
      const result = await operations.changeSale(
        itemId,
        { ...NO_SALE, ...sale },
        { by: 'test', force: true },
      );
      if (result.kind !== 'changed') throw new Error(`The sale was not changed: ${result.kind}`);
    },
    countsOf: async (itemId) => {
      const item = await ledger.item(itemId);
      if (!item) throw new Error(`${itemId} is not known`);
      return item.counts;
    },
  };
}

const NO_SALE = {
  priceMinor: null,
  currency: null,
  unitsPerUser: null,
  opensAt: null,
  closesAt: null,
  payWithinMs: null,
};
