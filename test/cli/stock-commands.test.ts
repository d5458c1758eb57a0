import {
  parsePrice,
  saleClear,
  saleSet,
  stockRestock,
  type RestockOptions,
  type SaleSetOptions,
} from '../../cli/stock';
import type {
  Restock,
  RestockResult,
  SaleChange,
  SaleChangeResult,
} from '../../engine/stock/stock-operations';
import { anOperator, type Acted } from './an-operator';
import { textTerminal } from './text-terminal';
import { UserError } from '../../platform/user-error';
import type { Sale } from '../../engine/orders/sale';

const RESTOCKED: RestockResult = {
  kind: 'restocked',
  before: 1,
  after: 6,
  supply: 106,
  isNewItem: false,
  wasDoneBefore: false,
};

/** A ledger that answers what it is told and remembers what it was asked. */
function aLedger({
  restock = RESTOCKED,
  change = { kind: 'changed', before: {}, after: { price: '5' } },
  sale = {},
}: {
  restock?: RestockResult | Error;
  change?: SaleChangeResult | Error;
  sale?: Sale | Error;
} = {}) {
  const asked: (Restock | SaleChange)[] = [];
  const terminal = textTerminal();
  const actions: Acted[] = [];
  const stock = {
    restock: (one: Restock) => {
      asked.push(one);
      return restock instanceof Error ? Promise.reject(restock) : Promise.resolve(restock);
    },
    changeSale: (_item: string, one: SaleChange, who: object) => {
      asked.push({ ...one, ...who });
      return change instanceof Error ? Promise.reject(change) : Promise.resolve(change);
    },
  };
  const deps = {
    terminal,
    ...anOperator(actions),
    defaultCurrency: 'USD',
    withStock: <T>(use: (door: typeof stock) => Promise<T>) => use(stock),
    sale: () => (sale instanceof Error ? Promise.reject(sale) : Promise.resolve(sale)),
  };
  const add = (options: Partial<RestockOptions> = {}) =>
    stockRestock(deps, { item: '101', units: { add: 5 }, operationId: 'op', ...options });
  const set = (options: Partial<SaleSetOptions>) => saleSet(deps, { item: '101', ...options });
  const clear = (item = '101') => saleClear(deps, { item });
  return { add, set, clear, asked, actions, terminal };
}

describe('flash-sale stock add', () => {
  test('asks for the units under the operator and the operation, and says what is free', async () => {
    const { add, asked, terminal } = aLedger();
    expect(await add()).toBe(0);
    expect(asked).toEqual([{ itemId: '101', operationId: 'op', units: { add: 5 }, by: 'ann' }]);
    expect(terminal.written()).toBe('101: 1 → 6 free, supply 101 → 106\n');
  });

  test('is recorded with the units before and after', async () => {
    const { add, actions } = aLedger();
    await add({ why: 'a late delivery', expect: 1 });
    expect(actions).toEqual([
      {
        action: 'stock.restock',
        itemId: '101',
        why: 'a late delivery',
        request: { add: 5, operation_id: 'op', expected_free: 1 },
        outcome: 'done',
        before: { free: 1, supply: 101 },
        after: { free: 6, supply: 106 },
      },
    ]);
    const refused = aLedger({ restock: { kind: 'stale', free: 73 } });
    await refused.add().catch(() => undefined);
    expect(refused.actions).toMatchObject([{ outcome: 'refused', detail: 'stale' }]);
  });

  test.each([
    ['a new item', { isNewItem: true }, /a new item, on sale from now on/],
    ['a repetition', { wasDoneBefore: true }, /had been done before: nothing was changed/],
  ])('says that it is %s', async (_name, fields, sentence) => {
    const { add, terminal } = aLedger({ restock: { ...RESTOCKED, ...fields } });
    await add();
    expect(terminal.written()).toMatch(sentence);
  });

  test('makes an operation id of its own, which --json shows', async () => {
    const { add, asked, terminal } = aLedger();
    await add({ operationId: undefined, json: true });
    const { operationId } = asked[0] as Restock;
    expect(JSON.parse(terminal.written())).toEqual({
      item_id: '101',
      operation_id: operationId,
      free_before: 1,
      free: 6,
      supply_before: 101,
      supply: 106,
      new_item: false,
      done_before: false,
    });
  });

  test('says how to ask again when nobody knows whether it has happened', async () => {
    const { add } = aLedger({ restock: new Error('Command timed out') });
    await expect(add()).rejects.toThrow(/may be there or not.*--operation-id op: it never counts/);
  });

  test('sends the number of free units that is expected, and is refused with both numbers', async () => {
    const { add, asked } = aLedger({ restock: { kind: 'stale', free: 73 } });
    await expect(add({ expect: 100 })).rejects.toThrow(
      /101 has 73 free units, not 100 as expected. Nothing was changed/,
    );
    expect(asked).toMatchObject([{ expectedFree: 100 }]);
  });

  test.each([
    [{ kind: 'operation-reused' }, /asked for something else before. Nothing was changed/],
    [{ kind: 'too-many' }, /too many units. Nothing was changed/],
    [{ kind: 'unreadable', detail: 'it is abc' }, /it is abc. Nothing.* stock set 101 <units>/],
  ] as const)('is refused for %p', async (restock, sentence) => {
    const fault = await aLedger({ restock })
      .add()
      .catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: 'UserError', exitCode: 1 });
    expect((fault as Error).message).toMatch(sentence);
  });

  test.each(['{x}', 'a b', '', '-1', 'x'.repeat(129)])('knows no item "%s"', async (item) => {
    const { add, set, clear, asked } = aLedger();
    await expect(add({ item })).rejects.toThrow(/is no item id/);
    await expect(set({ item, limit: 1 })).rejects.toThrow(/is no item id/);
    await expect(clear(item)).rejects.toThrow(/is no item id/);
    expect(asked).toEqual([]);
  });
});

describe('flash-sale sale set', () => {
  test('says in one sentence that nobody knows whether it has happened, or that it has not', async () => {
    const silent = new Error('Command timed out');
    const faultOf = (change: Promise<unknown>) => change.catch((error: unknown) => error);
    const asked = await faultOf(aLedger({ change: silent }).set({ limit: 2 }));
    expect(asked).toBeInstanceOf(UserError);
    expect((asked as Error).message).toMatch(/timed out.*may have been made or not.*sale show 101/);
    const looked = await faultOf(aLedger({ sale: silent }).set({ price: '10.00' }));
    expect(looked).toBeInstanceOf(UserError);
    expect((looked as Error).message).toMatch(/timed out.*Nothing was changed/);
  });

  test('changes what is named and nothing else', async () => {
    const { set, asked, terminal } = aLedger();
    expect(await set({ limit: 2, opens: 5 })).toBe(0);
    expect(asked).toEqual([{ unitsPerUser: 2, opensAt: 5, by: 'ann', force: false }]);
    expect(terminal.written()).toContain('flash-sale sale show 101');
  });

  test.each([
    ['the currency that is named', { price: '2.5', currency: 'EUR' }, {}, [250, 'EUR']],
    ['the currency of the sale', { price: '250' }, { currency: 'JPY' }, [250, 'JPY']],
    ['the default currency', { price: '2.50' }, {}, [250, 'USD']],
  ])('reads a price in %s, and writes both', async (_name, options, sale, written) => {
    const { set, asked } = aLedger({ sale });
    await set(options);
    const { priceMinor, currency } = asked[0] as SaleChange;
    expect([priceMinor, currency]).toEqual(written);
  });

  test('sets how buyers pay, and goes back to charging', async () => {
    const { set, asked, actions } = aLedger();
    await set({ pay: 'checkout', payWithin: 600_000 });
    await set({ pay: 'charge' });
    expect(asked).toMatchObject([{ payWithinMs: 600_000 }, { payWithinMs: null }]);
    expect(actions).toMatchObject([
      { request: { pay: 'checkout', pay_within_seconds: 600 } },
      { request: { pay: 'charge', pay_within_seconds: null } },
    ]);
  });

  test.each([
    { pay: 'checkout' },
    { payWithin: 600_000 },
    { pay: 'charge', payWithin: 600_000 },
  ] as const)('refuses %j: checkout and a time to pay go together', async (options) => {
    const { set, asked } = aLedger();
    await expect(set(options)).rejects.toThrow(/--pay checkout needs --pay-within.*Nothing was/);
    expect(asked).toEqual([]);
  });

  test('needs something to change, and one price', async () => {
    const { set, asked } = aLedger();
    await expect(set({})).rejects.toThrow(/at least one thing/);
    await expect(set({ price: '1', priceMinor: 100 })).rejects.toThrow(/give one of them/);
    expect(asked).toEqual([]);
  });

  test.each([
    [{ kind: 'unknown-item' }, /not on sale.*stock set 101 0.*Nothing was changed/],
    [{ kind: 'window', opensAt: 0, closesAt: 0 }, /end \(1970.*\) before it starts \(1970/],
    [{ kind: 'units-owned', users: 3, most: 4 }, /3 users own more.*4 units.*--force/],
    [{ kind: 'unreadable', detail: 'opens_at is x' }, /opens_at is x: name it anew/],
  ] as const)('is refused for %p', async (change, sentence) => {
    const fault = await aLedger({ change })
      .set({ limit: 1 })
      .catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: 'UserError', exitCode: 1 });
    expect((fault as Error).message).toMatch(sentence);
  });
});

test('a change of the sale is recorded with the sale before and after', async () => {
  const change = { kind: 'changed', before: { price: '5' }, after: { price: '250' } } as const;
  const { set, clear, actions } = aLedger({ change });
  await set({ priceMinor: 250, why: 'dearer' });
  await clear();
  const done = { action: 'sale.change', itemId: '101', outcome: 'done' };
  expect(actions).toMatchObject([
    { ...done, why: 'dearer', request: { price_minor: 250 }, before: { price: '5' } },
    { ...done, request: { units_per_user: null }, after: { price: '250' } },
  ]);
});

test('flash-sale sale clear removes every setting', async () => {
  const { clear, asked } = aLedger();
  expect(await clear()).toBe(0);
  expect(asked).toMatchObject([
    {
      priceMinor: null,
      currency: null,
      unitsPerUser: null,
      opensAt: null,
      closesAt: null,
      payWithinMs: null,
    },
  ]);
});

describe('a price', () => {
  test.each([
    ['10.00', 'USD', 1000],
    ['10', 'USD', 1000],
    ['0.01', 'USD', 1],
    ['1000', 'JPY', 1000],
    ['1.234', 'KWD', 1234],
  ])('%s %s is %i minor units', (text, currency, minor) => {
    expect(parsePrice(text, currency)).toBe(minor);
  });

  test.each([
    ...['0', '0.00', '-1', '1.005', '1,50', 'ten', '', '1e3', '99999999999', '.5', '1.'].map(
      (text) => [text, 'USD'] as const,
    ),
    ['10.00', 'JPY'] as const,
  ])('"%s" in %s is none', (text, currency) => {
    expect(() => parsePrice(text, currency)).toThrow(UserError);
  });
});
