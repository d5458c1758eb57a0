import type { OrderId } from '../../engine/orders/order';
import type { Attempt } from '../../engine/stock/admission';
import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { CONTRACT_LEASE_MS, useItem, type AdmissionUnderTest } from './admission-item';

/** The contract of Admission after a hold: takeover, undo, reject, queue. */
export function afterTheHoldContract(make: () => AdmissionUnderTest): void {
  describe('and afterwards', () => {
    const item = useItem(make);
    const { attempt, again, hold, undo, counts } = item;

    test('lets a later attempt take over a hold whose lease is over', async () => {
      const first = attempt();
      await hold(first);
      await waitForLease();
      expect(await hold(again(first))).toMatchObject({ kind: 'held' });
      await undo(first);
      expect(await counts()).toMatchObject({ free: 2, held: 1 });
    });

    test('keeps the order id of the attempt that made the hold, also for one that takes it over', async () => {
      const first = attempt();
      const orderId = first.token;
      expect(await hold(first)).toMatchObject({ orderId });
      expect(await hold(first)).toMatchObject({ orderId });
      await waitForLease();
      expect(await hold(again(first))).toMatchObject({ orderId });
      expect(await make().admission.queue([first])).toEqual([true]);
      const found = await make().ledger.findOrder(first.requestId);
      expect(found?.entry).toMatchObject({ state: 'queued', orderId });
    });

    test('keeps how long the buyer has to pay, or that the engine charges, also for a later attempt', async () => {
      const { setSale } = make();
      const charged = attempt();
      await hold(charged);
      await setSale(item.id(), { payWithinMs: 600_000 });
      const paid = attempt();
      await hold(paid);
      await setSale(item.id(), { payWithinMs: 5_000 });
      await waitForLease();
      const orderId = paid.token;
      expect(await hold(again(paid))).toMatchObject({
        kind: 'held',
        orderId,
        payWithinMs: 600_000,
      });
      const named = { ...again(charged), payment: { method: 'pm_1' } };
      expect(await hold(named)).toMatchObject({ kind: 'held', orderId: charged.token });
      expect(await hold(named)).not.toHaveProperty('payWithinMs');
    });

    test('does not queue an order by the record of an earlier one, whose hold was given away', async () => {
      const [dead, rich] = [attempt(), attempt({ amount: 3 })];
      await hold(dead);
      await waitForLease();
      await hold(rich);
      await undo(rich);
      const fresh = { ...again(dead), orderId: again(dead).token as OrderId };
      expect(await hold(fresh)).toMatchObject({ kind: 'held', orderId: fresh.orderId });
      expect(await make().admission.queue([dead])).toEqual([false]);
      expect(await counts()).toMatchObject({ held: 1, queued: 0 });
      expect(await make().admission.queue([fresh])).toEqual([true]);
    });

    test('reclaims a hold whose lease is over when an attempt finds no unit', async () => {
      const dead = attempt({ amount: 3 });
      await hold(dead);
      expect(await hold(attempt())).toEqual({ kind: 'sold-out', final: false });
      await waitForLease();
      expect(await hold(attempt())).toMatchObject({ kind: 'held' });
      expect(await make().admission.queue([dead])).toEqual([false]);
      expect(await counts()).toMatchObject({ free: 2, held: 1, queued: 0 });
    });

    test('gives the units of a lapsed hold to the first attempt of a round trip', async () => {
      const lapsed = attempt({ amount: 3 });
      const holds = async (...attempts: Attempt[]) =>
        (await make().admission.claimAndHold(attempts)).map((verdict) => item.holdOf(verdict).kind);
      await hold(lapsed);
      await waitForLease();
      expect(await holds(again(lapsed), attempt())).toEqual(['held', 'sold-out']);
      await waitForLease();
      expect(await holds(attempt(), again(again(lapsed)))).toEqual(['held', 'sold-out']);
      expect(await counts()).toMatchObject({ free: 2, held: 1, supply: 3 });
    });

    test('knows a request from its hold on, and no longer after a rejection and its undo', async () => {
      const [first, stranger] = [attempt(), attempt()];
      const known = () => make().admission.areKnown([stranger, first]);
      expect(await known()).toEqual([false, false]);
      await hold(first);
      expect(await known()).toEqual([false, true]);
      await make().admission.queue([first]);
      expect(await known()).toEqual([false, true]);
      const rejected = attempt({ amount: 4 });
      await hold(rejected);
      expect(await make().admission.areKnown([rejected])).toEqual([true]);
      await undo(rejected);
      expect(await make().admission.areKnown([rejected])).toEqual([false]);
    });

    test('keeps the claim of an accepted order when a rejected attempt of its request is undone late', async () => {
      const first = attempt();
      await hold(first);
      await make().admission.queue([first]);
      await make().admission.undo([{ ...again(first), undoHold: true, dropClaim: true }]);
      expect(await make().ledger.findOrder(first.requestId)).toMatchObject({ itemId: item.id() });
    });

    test('undoes a hold once, and only for the attempt that made it', async () => {
      const first = attempt();
      await hold(first);
      await make().admission.undo([{ ...again(first), undoHold: true, dropClaim: false }]);
      expect(await counts()).toMatchObject({ free: 2, held: 1 });
      await undo(first);
      await undo(first);
      expect(await counts()).toMatchObject({ free: 3, held: 0, supply: 3 });
    });

    test('records a rejection only if there is no order and no attempt of the request', async () => {
      const [lapsed, quick, held] = [attempt({ amount: 2 }), attempt({ amount: 3 }), attempt()];
      const { admission } = make();
      await hold(lapsed);
      await waitForLease();
      expect((await hold(quick)).kind).toBe('held');
      await admission.queue([quick]);
      expect((await hold(again(lapsed))).kind).toBe('sold-out');
      await make().setFree(item.id(), 1);
      await hold(held);
      expect(await admission.reject([lapsed, quick, held])).toEqual([
        { kind: 'rejected' },
        expect.objectContaining({ kind: 'exists' }),
        { kind: 'in-progress', retryAfterMs: expect.any(Number) as number },
      ]);
    });

    test('never reclaims a queued order', async () => {
      const first = attempt();
      await hold(first);
      await make().admission.queue([first]);
      await undo(first);
      await waitForLease();
      expect(await hold(attempt({ amount: 3 }))).toEqual({ kind: 'sold-out', final: false });
      expect(await counts()).toMatchObject({ free: 2, queued: 1 });
    });

    test('queues many orders of several items in one round trip', async () => {
      const elsewhere = anItem();
      await make().setFree(elsewhere, 1);
      const here = attempt();
      const there = anAttempt(aPurchase({ itemId: elsewhere }));
      await make().admission.claimAndHold([here, there]);
      expect(await make().admission.queue([here, attempt(), there])).toEqual([true, false, true]);
    });
  });
}

/** The lease runs on the server's clock, so the test waits for the time itself. */
function waitForLease(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CONTRACT_LEASE_MS + 30));
}
