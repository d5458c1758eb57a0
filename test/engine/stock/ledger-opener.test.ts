import type { ItemId } from '../../../engine/orders/order';
import { createLedgerOpener } from '../../../engine/stock/registry/ledger-opener';

const ITEM = '101' as ItemId;

/** A keeper before a registry that knows `registered`, and a clock that stands still until it is moved. */
function aKeeper({ registered, mine = 'mine' }: { registered?: string; mine?: string } = {}) {
  const calls = { find: 0, register: 0 };
  const clock = { ms: 0 };
  let answering = true;
  const waiting: (() => void)[] = [];
  const answer = () =>
    answering ? Promise.resolve() : new Promise<void>((resolve) => waiting.push(resolve));
  const keeper = createLedgerOpener({
    opening: {
      begin: () => Promise.resolve({ kind: 'opening', token: mine }),
      finish: (_item, token) => Promise.resolve(token === mine ? 'opened' : 'lost'),
    },
    registry: {
      find: async () => {
        calls.find += 1;
        await answer();
        return registered;
      },
      register: async (_item, token) => {
        calls.register += 1;
        await answer();
        return registered ?? token;
      },
      items: () => Promise.resolve([]),
    },
    now: () => clock.ms,
  });
  const hang = () => {
    answering = false;
  };
  return {
    keeper,
    calls,
    clock,
    hang,
    release: () => {
      waiting.forEach((resolve) => {
        resolve();
      });
    },
  };
}

describe('a keeper of ledgers', () => {
  test('opens a new item with one registration, however many ask at once', async () => {
    const { keeper, calls } = aKeeper();
    const crowd = Array.from({ length: 50 }, () => keeper.resolve({ itemId: ITEM, known: true }));
    expect(new Set(await Promise.all(crowd))).toEqual(new Set(['opened']));
    expect(calls.register).toBe(1);
  });

  test('calls an item without stock unknown only where the registry has no word of it', async () => {
    const absent = { itemId: ITEM, known: false };
    expect(await aKeeper().keeper.resolve(absent)).toBe('unknown');
    expect(await aKeeper({ registered: 'old' }).keeper.resolve(absent)).toBe('lost');
  });

  test('remembers a no for a second, and only for the same question', async () => {
    const { keeper, calls, clock } = aKeeper({ registered: 'old' });
    const ask = () => keeper.resolve({ itemId: ITEM, known: true });
    expect([await ask(), await ask()]).toEqual(['lost', 'lost']);
    expect(calls.register).toBe(1);
    clock.ms = 1_001;
    expect(await ask()).toBe('lost');
    expect(calls.register).toBe(2);
    await keeper.resolve({ itemId: ITEM, known: false });
    expect(calls.find).toBe(1);
  });

  test('refuses to look for ever more made-up items at once', async () => {
    const { keeper, hang, release } = aKeeper();
    hang();
    const ask = (i: number) => keeper.resolve({ itemId: `x${String(i)}` as ItemId, known: false });
    const first = Array.from({ length: 32 }, (_, i) => ask(i));
    await expect(ask(32)).rejects.toThrow('are being looked for already');
    release();
    expect(new Set(await Promise.all(first))).toEqual(new Set(['unknown']));
  });
});
