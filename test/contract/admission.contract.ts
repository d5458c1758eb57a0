import { anAttempt, anItem, aPurchase } from '../support/purchases';
import { useItem, type AdmissionUnderTest } from './admission-item';
import { afterTheHoldContract } from './after-the-hold.contract';

/** The contract of every implementation of Admission. The price is 10.00 USD unless the sale has another. */
export function admissionContract(name: string, make: () => AdmissionUnderTest): void {
  describe(`${name} admits`, () => {
    const item = useItem(make);
    const { attempt, again, holdOf, hold, counts } = item;

    test('holds units of a known item, at its price', async () => {
      const answer = await hold(attempt({ amount: 2 }));
      expect(answer).toMatchObject({ kind: 'held', priceMinor: 1000, currency: 'USD' });
      expect(await counts()).toMatchObject({ free: 1, held: 2, supply: 3 });
    });

    test('reports an item that was never on sale as unopened, for the registry to decide', async () => {
      const unknown = anAttempt(aPurchase({ itemId: anItem() }));
      expect(await hold(unknown)).toEqual({ kind: 'unopened', known: false });
    });

    test('gives the last unit to exactly one of many in one round trip', async () => {
      const crowd = Array.from({ length: 10 }, () => attempt());
      const verdicts = await make().admission.claimAndHold(crowd);
      const holds = verdicts.map(holdOf);
      expect(holds.slice(0, 3).map(({ kind }) => kind)).toEqual(['held', 'held', 'held']);
      // Not final: the units that this round trip holds may come back.
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

    test('takes nothing when there are too few units', async () => {
      expect(await hold(attempt({ amount: 4 }))).toEqual({ kind: 'sold-out', final: false });
      expect(await counts()).toMatchObject({ free: 3, held: 0 });
    });

    test('answers a second attempt of a live request with in-progress, and takes nothing', async () => {
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

    test('answers a repeated request with its order as it is', async () => {
      const first = attempt();
      await hold(first);
      expect(await make().admission.queue([first])).toEqual([true]);
      expect(await hold(again(first))).toMatchObject({
        kind: 'exists',
        entry: { state: 'queued', units: 1, userId: 'u1' },
      });
      expect(await make().ledger.findOrder(first.requestId)).toMatchObject({
        itemId: item.id(),
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

    test('counts the units of a user over all orders', async () => {
      await make().setSale(item.id(), { unitsPerUser: 2 });
      await hold(attempt({ userId: 'ann' }));
      expect(await hold(attempt({ userId: 'ann', amount: 2 }))).toEqual({
        kind: 'limit',
        unitsPerUser: 2,
        owned: 1,
        final: false,
      });
      expect(await hold(attempt({ userId: 'bob', amount: 2 }))).toMatchObject({ kind: 'held' });
    });

    test('says that a limit is final for an amount above it, and else not while units are in checkout', async () => {
      await make().setSale(item.id(), { unitsPerUser: 2 });
      const none = { userId: 'bob', amount: 3 };
      expect(await hold(attempt(none))).toMatchObject({ kind: 'limit', owned: 0, final: true });
      await hold(attempt({ userId: 'ann', amount: 2 }));
      expect(await hold(attempt(none))).toMatchObject({ kind: 'limit', final: true });
      expect(await hold(attempt({ userId: 'ann' }))).toMatchObject({ owned: 2, final: false });
    });

    test('sells within the window of the sale only, at the price of the sale', async () => {
      const { setSale } = make();
      const inAnHour = Date.now() + 3_600_000;
      await setSale(item.id(), { opensAt: inAnHour });
      expect(await hold(attempt())).toEqual({
        kind: 'closed',
        when: 'not-open',
        opensAt: inAnHour,
      });
      await setSale(item.id(), { closesAt: 1 });
      expect(await hold(attempt())).toEqual({ kind: 'closed', when: 'over', closesAt: 1 });
      await setSale(item.id(), { priceMinor: 250, currency: 'EUR' });
      expect(await hold(attempt())).toMatchObject({
        kind: 'held',
        priceMinor: 250,
        currency: 'EUR',
      });
    });

    test('says how long the buyers of a sale have to pay, none of whom names what it pays with', async () => {
      const { setSale, ledger } = make();
      await setSale(item.id(), { payWithinMs: 600_000 });
      const [first, second] = [attempt(), attempt()];
      const holds = (await make().admission.claimAndHold([first, second])).map(holdOf);
      expect(holds).toMatchObject([
        { kind: 'held', orderId: first.token, payWithinMs: 600_000 },
        { kind: 'held', orderId: second.token, payWithinMs: 600_000 },
      ]);
      const named = { ...attempt(), payment: { method: 'pm_1' } };
      expect(await hold(named)).toEqual({ kind: 'payment-named' });
      expect(await counts()).toMatchObject({ free: 1, held: 2 });
      // Repeated with a payment, a request is answered as it stands.
      await make().admission.queue([first]);
      expect(await hold({ ...again(first), payment: named.payment })).toMatchObject({
        kind: 'exists',
        entry: { payWithinMs: 600_000 },
      });
      await setSale(item.id(), {});
      expect(await hold(named)).not.toHaveProperty('payWithinMs');
      expect((await ledger.findOrder(named.requestId))?.entry).not.toHaveProperty('payWithinMs');
    });

    test('adopts a change of the free units that was made from outside', async () => {
      await hold(attempt());
      await make().setFree(item.id(), 10);
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

    afterTheHoldContract(make);
  });
}
