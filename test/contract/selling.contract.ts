import { createSellingSwitch, SELLING_KEY } from '../../engine/stock/selling-switch';
import type { RedisConnection } from '../../platform/redis';
import { eventually } from '../support/eventually';

/** The contract of the switch that stops all selling, for every kind of Redis. It has the key to itself. */
export function sellingContract(name: string, redis: () => RedisConnection): void {
  describe(`the switch of selling on ${name}`, () => {
    const aChange = (by: string, stopped = true) => ({
      stopped,
      at: '2026-11-24T10:00:00.000Z',
      by,
      why: 'the "price" – is wrong',
    });
    const aSwitch = () => createSellingSwitch(redis());
    beforeEach(() => redis().del(SELLING_KEY));

    test('is read as it was changed, with the state before', async () => {
      const { read, change } = aSwitch();
      expect(await read()).toBeUndefined();
      const first = await change(aChange('ann'));
      expect(first).toMatchObject({ before: undefined, after: aChange('ann') });
      const second = await change(aChange('bob', false));
      expect(second.before).toEqual(first.after);
      expect(await read()).toEqual(second.after);
      expect(second.after.revision).toBeGreaterThan(first.after.revision);
    });

    test('gives two changes at once two revisions, and keeps the larger', async () => {
      const { read, change } = aSwitch();
      const names = Array.from({ length: 20 }, (_, i) => `operator-${String(i)}`);
      const changes = await Promise.all(names.map((by) => change(aChange(by))));
      const revisions = changes.map(({ after }) => after.revision);
      expect(new Set(revisions).size).toBe(names.length);
      expect((await read())?.revision).toBe(Math.max(...revisions));
    });

    test('goes on above everything before it when Redis was emptied', async () => {
      const { change } = aSwitch();
      const { after: lost } = await change(aChange('ann'));
      await redis().del(SELLING_KEY);
      // Its clock is that of this machine.
      const isLater = () => Date.now() > lost.revision;
      await eventually('the clock of Redis has gone on', isLater);
      expect((await change(aChange('bob'))).after.revision).toBeGreaterThan(lost.revision);
    });

    test.each([
      ['over an older one', -1, true],
      ['not over itself', 0, false],
      ['not over a newer one', 1, false],
    ])('writes a lost state again, %s', async (_, newer, isWritten) => {
      const { read, change, restore } = aSwitch();
      const { after: stored } = await change(aChange('ann', false));
      const lost = { ...aChange('bob'), revision: stored.revision - newer };
      await restore(lost);
      expect(await read()).toEqual(isWritten ? lost : stored);
    });

    test('writes a lost state again where there is none', async () => {
      const { read, restore } = aSwitch();
      const lost = { ...aChange('ann'), revision: 1_795_514_400_123 };
      await restore(lost);
      expect(await read()).toEqual(lost);
    });

    const HUGE = '{"stopped":true,"at":"x","by":"x","why":"x","revision":1e300}';
    test.each(['nonsense', '5', '[]', '{"stopped":"yes"}', HUGE])(
      'is no state while the key is %s, and can be changed',
      async (text) => {
        const { read, change } = aSwitch();
        await redis().set(SELLING_KEY, text);
        await expect(read()).rejects.toThrow(/no state of the switch/);
        const { before, after } = await change(aChange('ann'));
        expect(before).toBeUndefined();
        expect(await read()).toEqual(after);
        expect((await change(aChange('bob'))).after.revision).toBeGreaterThan(after.revision);
      },
    );
  });
}
