import type { ItemId } from '../../../engine/orders/order';
import { createLedgerOpener } from '../../../engine/stock/ledger-opener';

const ITEM = '101' as ItemId;

/** An opener with a registry that has the token `registered`, and a clock that stands still until it is moved. */
function anOpener({ registered, mine = 'mine' }: { registered?: string; mine?: string } = {}) {
  const calls = { find: 0, register: 0 };
  const clock = { ms: 0 };
  let answering = true;
  const waiting: (() => void)[] = [];
  const answer = () =>
    answering ? Promise.resolve() : new Promise<void>((resolve) => waiting.push(resolve));
  const opening = {
    begin: () => Promise.resolve({ kind: 'opening', token: mine } as const),
    finish: (_item: ItemId, { token }: { token: string }) =>
      Promise.resolve(token === mine ? ('opened' as const) : ('lost' as const)),
  };
  const registry = {
    find: async () => {
      calls.find += 1;
      await answer();
      return registered;
    },
    register: async (_item: ItemId, token: string) => {
      calls.register += 1;
      await answer();
      return { token: registered ?? token };
    },
  };
  return {
    opener: createLedgerOpener(opening, registry, () => clock.ms),
    calls,
    clock,
    hang: () => {
      answering = false;
    },
    release: () => {
      waiting.forEach((resolve) => {
        resolve();
      });
    },
  };
}

describe('an opener of ledgers', () => {
  test('opens a new item with one registration, however many ask at once', async () => {
    const { opener, calls } = anOpener();
    const crowd = Array.from({ length: 50 }, () => opener.resolve({ itemId: ITEM, known: true }));
    expect(new Set(await Promise.all(crowd))).toEqual(new Set(['opened']));
    expect(calls.register).toBe(1);
  });

  test('calls an item without stock unknown only if the registry does not have it', async () => {
    const absent = { itemId: ITEM, known: false };
    expect(await anOpener().opener.resolve(absent)).toBe('unknown');
    expect(await anOpener({ registered: 'old' }).opener.resolve(absent)).toBe('lost');
  });

  test('reuses a negative result for a second, and only for the same question', async () => {
    const { opener, calls, clock } = anOpener({ registered: 'old' });
    const ask = () => opener.resolve({ itemId: ITEM, known: true });
    expect([await ask(), await ask()]).toEqual(['lost', 'lost']);
    expect(calls.register).toBe(1);
    clock.ms = 1_001;
    expect(await ask()).toBe('lost');
    expect(calls.register).toBe(2);
    await opener.resolve({ itemId: ITEM, known: false });
    expect(calls.find).toBe(1);
  });

  test('refuses to look up too many made-up items at once', async () => {
    const { opener, hang, release } = anOpener();
    hang();
    const ask = (i: number) => opener.resolve({ itemId: `x${String(i)}` as ItemId, known: false });
    const first = Array.from({ length: 32 }, (_, i) => ask(i));
    await expect(ask(32)).rejects.toThrow('are being looked up already');
    release();
    expect(new Set(await Promise.all(first))).toEqual(new Set(['unknown']));
  });
});
