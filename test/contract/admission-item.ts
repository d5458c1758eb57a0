import type { HoldResult } from '../../engine/orders/ledger';
import type { ItemId } from '../../engine/orders/order';
import type { Admission, Attempt, Verdict } from '../../engine/stock/admission';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import type { Sale, StockCounts } from '../../engine/orders/sale';

export interface AdmissionUnderTest {
  readonly admission: Admission;
  readonly ledger: Pick<StockLedger, 'item' | 'findOrder'>;
  readonly setSale: (itemId: ItemId, sale: Sale) => Promise<void>;
  /** As an operator does with redis-cli. */
  readonly setFree: (itemId: ItemId, units: number) => Promise<void>;
}

/** Short, so that an example can wait for the end of a lease. */
export const CONTRACT_LEASE_MS = 120;

/** A new item of three units for each example, with the calls that the examples make. */
export function useItem(make: () => AdmissionUnderTest) {
  let itemId: ItemId;
  beforeEach(async () => {
    itemId = anItem();
    await make().setFree(itemId, 3);
  });

  const attempt = (fields: { requestId?: string; userId?: string; amount?: number } = {}) =>
    anAttempt(aPurchase({ ...fields, itemId }));
  const again = (first: Attempt): Attempt => ({ ...first, token: `${first.token}-2` });
  const holdOf = (verdict: Verdict | Error | undefined): HoldResult => {
    if (verdict === undefined || verdict instanceof Error) throw verdict ?? new Error('no verdict');
    return verdict.hold;
  };
  const hold = async (one: Attempt) => holdOf((await make().admission.claimAndHold([one]))[0]);
  const undo = (one: Attempt) =>
    make().admission.undo([{ ...one, undoHold: true, dropClaim: true }]);
  const counts = async (): Promise<StockCounts | undefined> =>
    (await make().ledger.item(itemId))?.counts;

  return { id: () => itemId, attempt, again, holdOf, hold, undo, counts };
}
