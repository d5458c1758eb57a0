import type { StockLedger } from '../stock-ledger';
import { isLedgerNotOpen } from '../upkeep/ledger-opening';
import type { LedgerOpener } from './ledger-opener';

/**
 * A ledger whose reserve opens an item that was never opened: not every order comes by the gateway. Where the ledger is
 * lost it throws, as all its other calls do, so that the order waits until it is rebuilt.
 */
export function createOpeningLedger(ledger: StockLedger, keeper: LedgerOpener): StockLedger {
  return {
    ...ledger,
    async reserve(order, fence) {
      try {
        return await ledger.reserve(order, fence);
      } catch (error) {
        if (!isLedgerNotOpen(error)) throw error;
        const { itemId } = order;
        const standing = await keeper.resolve({ itemId, known: true });
        if (standing === 'opened') return ledger.reserve(order, fence);
        throw new Error(`The ledger of item ${itemId} is lost: its orders wait for a rebuild`, {
          cause: error,
        });
      }
    },
  };
}
