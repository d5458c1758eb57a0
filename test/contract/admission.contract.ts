import type { HoldAnswer, Sale, StockCounts } from '../../domain/ledger';
import type { ItemId } from '../../domain/order';
import type { Admission, Attempt, Verdict } from '../../stock/admission';
import type { StockLedger } from '../../stock/stock-ledger';
import { anAttempt, anItem, aPurchase } from '../support/purchases';

export interface AdmissionUnderTest {
  readonly admission: Admission;
  readonly ledger: Pick<StockLedger, 'item' | 'findOrder'>;
  readonly setSale: (itemId: ItemId, sale: Sale) => Promise<void>;
  /** What an operator does with redis-cli. */
  readonly setFree: (itemId: ItemId, units: number) => Promise<void>;
}

/** Short, so that an example can wait for the end of a lease. */
export const CONTRACT_LEASE_MS = 120;

/** What the gateway relies on, whoever keeps the stock. The price is 10.00 USD unless the sale names another. */
export function admissionContract(name: string, make: () => AdmissionUnderTest): void {
  describe(`${name} admits`, () => {
    let itemId: ItemId;
    const attempt = (fields: { requestId?: string; userId?: string; amount?: number } = {}) =>
      anAttempt(aPurchase({ ...fields, itemId }));
    const again = (first: Attempt): Attempt => ({ ...first, token: `${first.token}-2` });
    const holdOf = (verdict: Verdict | Error | undefined): HoldAnswer => {
      if (verdict === undefined || verdict instanceof Error)
        throw verdict ?? new Error('no verdict');
      return verdict.hold;
    };
    const hold = async (one: Attempt) => holdOf((await make().admission.claimAndHold([one]))[0]);
    const undo = (one: Attempt) =>
      make().admission.undo([{ ...one, undoHold: true, dropClaim: true }]);
    const counts = async (): Promise<StockCounts | undefined> =>
      (await make().ledger.item(itemId))?.counts;

    beforeEach(async () => {
      itemId = anItem();
      await make().setFree(itemId, 3);
    });

    test('holds units of a known item, at its price', async () => {
      const answer = await hold(attempt({ amount: 2 }));
      expect(answer).toMatchObject({ kind: 'held', priceMinor: 1000, currency: 'USD' });
      expect(await counts()).toMatchObject({ free: 1, held: 2, supply: 3 });
    });

    test('knows no item that was never put on sale, and leaves it to the registry what that means', async () => {
      itemId = anItem();
      expect(await hold(attempt())).toEqual({ kind: 'unopened', known: false });
    });

    test('gives the last unit to exactly one of many in one round trip', async () => {
      const crowd = Array.from({ length: 10 }, () => attempt());
      const verdicts = await make().admission.claimAndHold(crowd);
      const holds = verdicts.map(holdOf);
      expect(holds.slice(0, 3).map(({ kind }) => kind)).toEqual(['held', 'held', 'held']);
      // Not final: the very units that this round trip holds may come back.
      for (const answer of holds.slice(3))
        expect(answer).toEqual({ kind: 'sold-out', final: false });
      expect(await counts()).toMatchObject({ free: 0, held: 3, supply: 3 });
    });

    test('gives the last units once to many round trips at the same time', async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, () => hold(attempt())));
      expect(answers.filter(({ kind }) => kind === 'held')).toHaveLength(3);
      expect(await counts()).toMatchObject({ free: 0, held: 3, supply: 3 });
    });

    test('holds once for attempts of one request in one round trip', async () => {
      const first = attempt();
      const verdicts = await make().admission.claimAndHold([first, again(first), attempt()]);
      const kinds = verdicts.map((verdict) => holdOf(verdict).kind);
      expect(kinds).toEqual(['held', 'in-progress', 'held']);
      expect(await counts()).toMatchObject({ free: 1, held: 2, supply: 3 });
    });

    test('takes nothing where the units do not suffice', async () => {
      expect(await hold(attempt({ amount: 4 }))).toEqual({ kind: 'sold-out', final: false });
      expect(await counts()).toMatchObject({ free: 3, held: 0 });
    });

    test('tells a second attempt of a live request to wait, and takes nothing for it', async () => {
      const first = attempt();
      await hold(first);
      const answer = await hold(again(first));
      expect(answer).toMatchObject({ kind: 'in-progress' });
      expect(await counts()).toMatchObject({ free: 2, held: 1 });
    });

    test('answers the same attempt again with the same hold', async () => {
      const first = attempt();
      const answers = [await hold(first), await hold(first)];
      expect(answers[1]).toEqual(answers[0]);
      expect(await counts()).toMatchObject({ free: 2, held: 1 });
    });

    test('lets a later attempt take over a hold whose lease is over', async () => {
      const first = attempt();
      await hold(first);
      await waitForLease();
      expect(await hold(again(first))).toMatchObject({ kind: 'held' });
      await undo(first);
      expect(await counts()).toMatchObject({ free: 2, held: 1 });
    });

    test('reclaims a hold whose lease is over when somebody finds no unit', async () => {
      const dead = attempt({ amount: 3 });
      await hold(dead);
      expect(await hold(attempt())).toEqual({ kind: 'sold-out', final: false });
      await waitForLease();
      expect(await hold(attempt())).toMatchObject({ kind: 'held' });
      expect(await make().admission.queue([dead])).toEqual([false]);
      expect(await counts()).toMatchObject({ free: 2, held: 1, queued: 0 });
    });

    test('knows a request from its hold on, and one that was rejected and undone no more', async () => {
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

    test('shows a repeated request its order as it stands', async () => {
      const first = attempt();
      await hold(first);
      expect(await make().admission.queue([first])).toEqual([true]);
      expect(await hold(again(first))).toMatchObject({
        kind: 'exists',
        entry: { state: 'queued', units: 1, userId: 'u1' },
      });
      expect(await make().ledger.findOrder(first.requestId)).toMatchObject({
        itemId,
        entry: { state: 'queued' },
      });
    });

    test('tells another payload under the same id from a repetition', async () => {
      const first = attempt();
      await hold(first);
      const other = attempt({ requestId: first.requestId, amount: 2 });
      const [verdict] = await make().admission.claimAndHold([other]);
      expect(verdict).toEqual({ claim: 'other', hold: { kind: 'mismatch' } });
      expect(await counts()).toMatchObject({ free: 2, held: 1 });
    });

    test('claims an id for one item only', async () => {
      const first = attempt();
      await hold(first);
      const elsewhere = anItem();
      await make().setFree(elsewhere, 1);
      const other = anAttempt(aPurchase({ requestId: first.requestId, itemId: elsewhere }));
      const [verdict] = await make().admission.claimAndHold([other]);
      expect(verdict).toMatchObject({ claim: 'other', hold: { kind: 'held' } });
    });

    test('burns nothing with a rejected request: its id is free for another payload', async () => {
      const rejected = attempt({ amount: 4 });
      const [verdict] = await make().admission.claimAndHold([rejected]);
      expect(verdict).toMatchObject({ claim: 'new', hold: { kind: 'sold-out' } });
      await make().admission.undo([{ ...rejected, undoHold: false, dropClaim: true }]);
      const smaller = attempt({ requestId: rejected.requestId, amount: 1 });
      expect((await make().admission.claimAndHold([smaller]))[0]).toMatchObject({
        claim: 'new',
        hold: { kind: 'held' },
      });
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

    test('writes a rejection down only where there is no order and no attempt of the request', async () => {
      const [lapsed, quick, held] = [attempt({ amount: 2 }), attempt({ amount: 3 }), attempt()];
      const { admission } = make();
      await hold(lapsed);
      await waitForLease();
      expect((await hold(quick)).kind).toBe('held');
      await admission.queue([quick]);
      expect((await hold(again(lapsed))).kind).toBe('sold-out');
      await make().setFree(itemId, 1);
      await hold(held);
      expect(await admission.reject([lapsed, quick, held])).toEqual([
        { kind: 'rejected' },
        expect.objectContaining({ kind: 'exists' }),
        { kind: 'in-progress', retryAfterMs: expect.any(Number) as number },
      ]);
    });

    test('never gives a queued order back', async () => {
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

    test('counts the units of a user over all orders', async () => {
      await make().setSale(itemId, { unitsPerUser: 2 });
      await hold(attempt({ userId: 'ann' }));
      expect(await hold(attempt({ userId: 'ann', amount: 2 }))).toEqual({
        kind: 'limit',
        unitsPerUser: 2,
        owned: 1,
      });
      expect(await hold(attempt({ userId: 'bob', amount: 2 }))).toMatchObject({ kind: 'held' });
    });

    test('sells within the window of the sale only, at the price of the sale', async () => {
      const { setSale } = make();
      const inAnHour = Date.now() + 3_600_000;
      await setSale(itemId, { opensAt: inAnHour });
      expect(await hold(attempt())).toEqual({
        kind: 'closed',
        when: 'not-open',
        opensAt: inAnHour,
      });
      await setSale(itemId, { closesAt: 1 });
      expect(await hold(attempt())).toEqual({ kind: 'closed', when: 'over', closesAt: 1 });
      await setSale(itemId, { priceMinor: 250, currency: 'EUR' });
      expect(await hold(attempt())).toMatchObject({
        kind: 'held',
        priceMinor: 250,
        currency: 'EUR',
      });
    });

    test('adopts a change of the free units that was made from outside', async () => {
      await hold(attempt());
      await make().setFree(itemId, 10);
      await hold(attempt());
      expect(await counts()).toEqual({
        free: 9,
        held: 2,
        queued: 0,
        reserved: 0,
        sold: 0,
        supply: 11,
      });
    });
  });
}

/** The lease runs on the server's clock, so there is nothing to wait for but the time itself. */
function waitForLease(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, CONTRACT_LEASE_MS + 30));
}
