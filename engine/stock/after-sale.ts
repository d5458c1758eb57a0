import type { UserId } from '../orders/order';
import type { SaleInput } from '../orders/refund';
import type { SaleReturn } from '../orders/sale-return';
import type { RedisConnection } from '../../platform/redis';
import { itemKeys, operationsKey } from './keys';
import { defineLedgerScripts } from './scripts';

/** Units of a refunded sale that go on sale again. */
export interface SaleRestock extends SaleInput {
  /** Unique among all operations of the item. */
  readonly operation: string;
  readonly units: number;
  readonly by: string;
  readonly why: string;
}

/** `archived`: the ledger does not have the sale. `counting`: to be tried again a moment later. */
export type SaleRestockResult =
  'restocked' | 'archived' | 'operation-reused' | 'too-many' | 'counting';

/** The archive has it after a week at the latest: changes of stock are copied within seconds. */
const OPERATION_RETENTION_MS = 7 * 24 * 3_600_000;

export type AfterSale = ReturnType<typeof createAfterSaleLedger>;

/** What changes the ledger. */
export type AfterSaleLedger = Omit<AfterSale, 'leftOf' | 'unitsOf'>;

/**
 * What happens in the ledger after a sale, which stays sold. All methods may be called again, and throw when Redis gives no
 * definite answer or the ledger is not open.
 */
export function createAfterSaleLedger(redis: RedisConnection) {
  defineLedgerScripts(redis, ['ledgerNoteReturns', 'ledgerRestockSale']);
  return {
    /** Changes nothing where the order has left the ledger. */
    async noteReturns(
      { itemId, requestId, orderId }: SaleInput,
      returns: readonly SaleReturn[],
    ): Promise<void> {
      const args = [requestId, orderId, JSON.stringify(returns)];
      await redis.ledgerNoteReturns(...itemKeys(itemId), ...args);
    },

    /** `archived`: what the archive has of the sale, of which the operation is none. */
    async restockSale(
      { itemId, requestId, orderId, operation, units, by, why }: SaleRestock,
      archived?: { readonly userId: UserId; readonly owned: number },
    ): Promise<SaleRestockResult> {
      const keys = [...itemKeys(itemId), operationsKey(itemId)];
      const asked = [requestId, orderId, operation, units, by, why, OPERATION_RETENTION_MS];
      const args = [...asked, archived?.userId ?? '', archived?.owned ?? 0];
      return (await redis.ledgerRestockSale(...keys, ...args)) as SaleRestockResult;
    },

    /** Units of a sale without an entry that were not put back; undefined: none was within the last week. */
    async leftOf({ itemId, orderId }: SaleInput): Promise<number | undefined> {
      const left = await redis.hget(operationsKey(itemId), `left/${orderId}`);
      return left === null ? undefined : Number(left);
    },

    /** Units that an operation of such a sale has put back; undefined: it has not within the last week. */
    async unitsOf({ itemId }: SaleInput, operation: string): Promise<number | undefined> {
      const done = await redis.hget(operationsKey(itemId), operation);
      return done === null ? undefined : (JSON.parse(done) as { readonly units: number }).units;
    },
  };
}
