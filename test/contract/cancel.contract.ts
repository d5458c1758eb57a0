import type { CancelResult, LedgerEntry } from '../../engine/orders/ledger';
import type { UserId } from '../../engine/orders/order';
import type { Admission, Attempt } from '../../engine/stock/admission';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import type { StockCounts } from '../../engine/orders/sale';

/** States that an order enters only by its workflow. */
export type WorkedOn = 'reserved' | 'sold' | 'failed' | 'cancelled-by-operator';

export interface CancelUnderTest {
  readonly admission: Admission;
  readonly ledger: Pick<StockLedger, 'item' | 'findOrder' | 'cancel'>;
  readonly setFree: (itemId: Attempt['itemId'], units: number) => Promise<void>;
  /** Moves a queued order on, as a workflow does. */
  readonly bring: (order: Attempt, to: WorkedOn) => Promise<unknown>;
}

/** The contract of a buyer's cancellation, for every implementation of the ledger. */
export function cancelContract(name: string, make: () => CancelUnderTest): void {
  describe(`${name} cancels`, () => {
    const aHeld = async () => {
      const attempt = anAttempt(aPurchase({ itemId: anItem(), amount: 2, userId: 'ann' }));
      await make().setFree(attempt.itemId, 3);
      await make().admission.claimAndHold([attempt]);
      return attempt;
    };
    const aQueued = async () => {
      const attempt = await aHeld();
      await make().admission.queue([attempt]);
      return attempt;
    };
    const aWorkedOn = async (state: WorkedOn) => {
      const attempt = await aQueued();
      await make().bring(attempt, state);
      return attempt;
    };
    const cancel = (order: Attempt, userId = 'ann') =>
      make().ledger.cancel({ ...order, userId: userId as UserId });
    const counts = async ({ itemId }: Attempt): Promise<StockCounts | undefined> =>
      (await make().ledger.item(itemId))?.counts;
    const entryOf = async (order: Attempt): Promise<LedgerEntry | undefined> =>
      (await make().ledger.findOrder(order.requestId))?.entry;
    const entryIn = (answer: CancelResult) => ('entry' in answer ? answer.entry : undefined);

    test('a queued order: its units are free at once, and it says so', async () => {
      const order = await aQueued();
      const answer = await cancel(order);
      expect(answer).toMatchObject({
        kind: 'cancelled',
        entry: {
          state: 'released',
          reason: 'cancelled',
          cancelledByBuyer: true,
          unresolvedCharges: [],
        },
      });
      expect(entryIn(answer)?.finishedAt).toEqual(expect.any(Number));
      expect(entryIn(answer)?.timeline.map(({ state }) => state)).toEqual([
        ...['held', 'queued', 'released'],
      ]);
      expect(await counts(order)).toMatchObject({ free: 3, queued: 0, supply: 3 });
    });

    test('once: a repeated cancellation has the same result and releases nothing again', async () => {
      const order = await aQueued();
      const first = await cancel(order);
      expect(await cancel(order)).toEqual(first);
      expect(await counts(order)).toMatchObject({ free: 3, supply: 3 });
    });

    test('a reserved order by a mark only: its workflow releases it', async () => {
      const order = await aWorkedOn('reserved');
      const marked = { state: 'reserved', cancelledByBuyer: true };
      expect(await cancel(order)).toMatchObject({ kind: 'under-way', entry: marked });
      expect(await cancel(order)).toMatchObject({ kind: 'under-way', entry: marked });
      expect(await counts(order)).toMatchObject({ free: 1, reserved: 2, supply: 3 });
    });

    test('an order that an operator has cancelled, so that it stays so', async () => {
      const order = await aWorkedOn('cancelled-by-operator');
      expect(await cancel(order)).toMatchObject({ kind: 'cancelled' });
      expect(await entryOf(order)).toMatchObject({ state: 'released', cancelledByBuyer: true });
    });

    test.each(['sold', 'failed'] as const)('nothing of an order that is %s', async (state) => {
      const order = await aWorkedOn(state);
      const before = await entryOf(order);
      expect(await cancel(order)).toEqual({ kind: state, entry: before });
      expect(await entryOf(order)).toEqual(before);
    });

    test('nothing that is only held, and nothing that is not there', async () => {
      const held = await aHeld();
      expect(await cancel(held)).toEqual({ kind: 'unknown' });
      expect(await entryOf(held)).toMatchObject({ state: 'held' });
      const none = anAttempt(aPurchase({ itemId: held.itemId }));
      expect(await cancel(none)).toEqual({ kind: 'unknown' });
    });

    test('nothing for other users', async () => {
      for (const order of [await aQueued(), await aWorkedOn('reserved')]) {
        const before = await entryOf(order);
        expect(await cancel(order, 'bob')).toEqual({ kind: 'not-the-buyer' });
        expect(await entryOf(order)).toEqual(before);
      }
    });
  });
}
