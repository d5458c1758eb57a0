import { ownedUnits } from '../orders/ledger';
import type { UserId } from '../orders/order';
import type { SaleInput } from '../orders/refund';
import type { ReturnEvent } from '../orders/return-event';
import type { SaleReturn } from '../orders/sale-return';
import type { AfterSale, SaleRestock, SaleRestockResult } from '../stock/after-sale';
import { isLedgerNotOpen, type StockLedger } from '../stock/stock-ledger';
import type { EndedOrders } from './ended-orders';
import { NO_ARCHIVE } from './ledger-of-record';
import type { ArchivedReturns } from './returns';

/** A sold order, wherever it is kept. */
export interface SoldOrder extends Pick<ReturnEvent, 'order' | 'paymentId'> {
  /** That was charged. */
  readonly generation: number;
  readonly returns: readonly SaleReturn[];
  /** Units that were not put back. */
  readonly owned: number;
}

export type Sales = ReturnType<typeof createSales>;

/** Sold orders in the ledger, or in the archive once they have left it. */
export function createSales({
  ledger,
  afterSale,
  archive,
}: {
  /** Finds no order of a retired item, and throws for a lost ledger. */
  readonly ledger: Pick<StockLedger, 'findOrder'>;
  readonly afterSale: AfterSale;
  readonly archive: Pick<EndedOrders, 'endOf'> & ArchivedReturns;
}) {
  const find = async (name: SaleInput): Promise<SoldOrder | undefined> => {
    const { itemId, requestId, orderId } = name;
    const entry = (await ledger.findOrder(requestId, itemId))?.entry;
    if (entry?.orderId === orderId) {
      if (entry.state !== 'sold') return undefined;
      const { userId, units, priceMinor, currency, acceptedAt, generation, paymentId } = entry;
      const owner = { userId: userId as UserId, amount: units };
      return {
        order: { ...name, ...owner, priceMinor, currency, acceptedAt },
        paymentId,
        generation,
        returns: entry.returns ?? [],
        owned: ownedUnits(entry),
      };
    }
    const end = await archive.endOf(name);
    if (end?.status !== 'confirmed' || end.requestId !== requestId || end.itemId !== itemId) {
      return undefined;
    }
    const { userId, amount, priceMinor, currency, acceptedAt, generation, paymentId } = end;
    return {
      order: { ...name, userId, amount, priceMinor, currency, acceptedAt },
      paymentId,
      generation,
      returns: await archive.returnsOf(orderId),
      owned: Math.min(amount - end.restocked, (await afterSale.leftOf(name)) ?? amount),
    };
  };

  return {
    /** Undefined where the order is not sold. Throws when nobody can tell. */
    find,

    /** Units that an operation has put back. */
    unitsOf: async (sale: SaleInput, operation: string) => {
      const { itemId, requestId, orderId } = sale;
      const entry = (await ledger.findOrder(requestId, itemId))?.entry;
      if (entry?.orderId === orderId) return entry.restocked?.[operation] ?? 0;
      const remembered = await afterSale.unitsOf(sale, operation);
      return remembered ?? (await archive.unitsOf(itemId, operation)) ?? 0;
    },

    /** In the ledger; the archive reads their events. */
    noteReturns: async (sale: SaleInput, returns: readonly SaleReturn[]): Promise<void> => {
      try {
        await afterSale.noteReturns(sale, returns);
      } catch (error) {
        // Of a retired item only the archive has orders. In a lost ledger no entry is restored of a sale.
        if (!isLedgerNotOpen(error)) throw error;
      }
    },

    /** Puts units on sale again, once for each operation. Throws where the ledger is lost. */
    restock: async (
      restock: SaleRestock,
    ): Promise<Exclude<SaleRestockResult, 'archived' | 'counting'> | 'retired'> => {
      let result = await afterSale.restockSale(restock).catch(async (error: unknown) => {
        if (!isLedgerNotOpen(error)) throw error;
        if (await ledger.findOrder(restock.requestId, restock.itemId)) throw error;
        return 'retired' as const;
      });
      if (result === 'archived') {
        const { itemId, operation, units } = restock;
        const done = await archive.unitsOf(itemId, operation);
        if (done !== undefined) return done === units ? 'restocked' : 'operation-reused';
        const sale = await find(restock);
        if (!sale) throw new Error(`${restock.requestId} is not sold`);
        const { owned, order } = sale;
        result = await afterSale.restockSale(restock, { userId: order.userId, owned });
      }
      if (result === 'archived' || result === 'counting') {
        throw new Error(`The buyers of ${restock.itemId} are being counted`);
      }
      return result;
    },
  };
}

/** For a process that has no archive. */
export const NO_RETURNS: ArchivedReturns = {
  returnsOf: NO_ARCHIVE.endOf as () => Promise<never>,
  unitsOf: NO_ARCHIVE.endOf as () => Promise<never>,
};
