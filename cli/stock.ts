import { randomUUID } from 'node:crypto';
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Gateway } from '../client/gateway';
import { AMOUNT_MAX, isId, type ItemId } from '../engine/orders/order';
import {
  isCurrency,
  minorDigits,
  PAY_WITHIN_MS_MAX,
  PAY_WITHIN_MS_MIN,
  PRICE_MINOR_MAX,
  RESTOCK_UNITS_MAX,
  SALE_TIME_MAX,
  type Sale,
} from '../engine/orders/sale';
import {
  createStockOperations,
  type Restock,
  type SaleChange,
  type SaleChangeResult,
  type StockOperations,
} from '../engine/stock/stock-operations';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { restockOutcome, saleOutcome } from '../engine/operators/outcomes';
import { describeError, UserError } from '../platform/user-error';
import {
  addCommand,
  addNameAndReason,
  moment,
  parseItemId,
  refused,
  wholeNumber,
  type ActionOptions,
  type CommonOptions,
  type End,
} from './command';
import { withRedis, type Context, type Operator } from './context';
import {
  money,
  paint,
  plain,
  printResult,
  table,
  unknownText,
  type ExitCode,
  type Terminal,
} from './terminal';

/** Adds `show`, `add` and `set` to the command `stock`. */
export function addStockCommands(stock: Command, actions: StockActions, end: End): void {
  addCommand(
    stock,
    'show <item>',
    "An item's units by state, its price and its sale",
    'flash-sale stock show 101',
  ).action((item: string, options: CommonOptions) => end(actions.show({ ...options, item })));

  const unitsExpected = wholeNumber(0, Number.MAX_SAFE_INTEGER);
  const addRestock = (name: 'add' | 'set', description: string, unitsMin: number) => {
    addNameAndReason(
      addCommand(stock, `${name} <item>`, description, `flash-sale stock ${name} 101 50`),
    )
      .argument('<units>', 'units', wholeNumber(unitsMin, RESTOCK_UNITS_MAX))
      .option('--operation-id <id>', 'sent twice under one id, it counts once', operationId)
      .option('--expect <free>', 'only if as many units are free', unitsExpected)
      .action((item: string, count: number, options: Omit<RestockOptions, 'item' | 'units'>) => {
        const units = name === 'add' ? { add: count } : { free: count };
        return end(actions.restock({ ...options, item, units }));
      });
  };
  addRestock('add', 'Add units to an item; an unknown item is on sale from then on', 1);
  addRestock('set', 'Set the number of free units', 0);
}

/** Adds `show`, `set` and `clear` to the command `sale`. */
export function addSaleCommands(sale: Command, actions: StockActions, end: End): void {
  const timeHint = 'It must be a time such as 2026-11-24T10:00Z (UTC unless it says otherwise).';
  const time = moment(timeHint, SALE_TIME_MAX);
  addCommand(
    sale,
    'show <item>',
    'The price, the limit and the window of an item, and how it is paid',
    'flash-sale sale show 101',
  ).action((item: string, options: CommonOptions) => end(actions.show({ ...options, item })));

  addNameAndReason(
    addCommand(
      sale,
      'set <item>',
      'Change the sale of an item; orders under way keep their price and way to pay',
      'flash-sale sale set 101 --price 10.00 --currency USD --limit 2',
      'flash-sale sale set 101 --opens 2026-11-24T10:00Z --closes 2026-11-24T12:00Z',
      'flash-sale sale set 101 --pay checkout --pay-within 10m',
    ),
  )
    .option('--price <amount>', 'price of a unit, such as 10.00')
    .option('--price-minor <cents>', 'the same in minor units', wholeNumber(1, PRICE_MINOR_MAX))
    .option('--currency <code>', 'three letters, such as USD', currencyCode)
    .option('--limit <units>', 'units a user may own', wholeNumber(1, AMOUNT_MAX))
    .option('--opens <time>', 'start of the sale, such as 2026-11-24T10:00Z', time)
    .option('--closes <time>', 'end of the sale, such as 2026-11-24T12:00Z', time)
    .addOption(
      new Option('--pay <how>', 'the engine charges, or buyers pay themselves').choices(
        WAYS_TO_PAY,
      ),
    )
    .option('--pay-within <time>', 'how long buyers have to pay: 90s, 10m or 2h', payWithinMs)
    .option('--force', 'set the limit although users own more already')
    .action((item: string, options: Omit<SaleSetOptions, 'item'>) =>
      end(actions.saleSet({ ...options, item })),
    );

  addNameAndReason(
    addCommand(
      sale,
      'clear <item>',
      'No limit, no window, the default price, and the engine charges',
      'flash-sale sale clear 101',
    ),
  ).action((item: string, options: ActionOptions) => end(actions.saleClear({ ...options, item })));
}

function currencyCode(text: string): string {
  if (isCurrency(text)) return text;
  throw new InvalidArgumentError('It must be a currency of ISO 4217, such as USD.');
}

const WAYS_TO_PAY = ['charge', 'checkout'] as const;

function payWithinMs(text: string): number {
  const [, number, unit = ''] = /^([1-9]\d{0,5})([smh])$/.exec(text) ?? [];
  const ms = Number(number) * (UNIT_MS[unit] ?? NaN);
  if (ms >= PAY_WITHIN_MS_MIN && ms <= PAY_WITHIN_MS_MAX) return ms;
  throw new InvalidArgumentError('It must be a time from 5s to 12h, such as 90s, 10m or 2h.');
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000 };

function operationId(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 128 letters, digits or . _ ~ : @ + = -');
}

/** Who changes stock, and how. */
export function stockDeps(
  { terminal, access, operator, config }: Context,
  options: ActionOptions,
): SaleSetDeps {
  const { redis } = access(options);
  return {
    terminal,
    ...operator(options),
    defaultCurrency: config().defaultCurrency,
    withStock: <T>(use: (stock: StockOperations) => Promise<T>) =>
      withRedis(redis, (connection) => use(createStockOperations(connection))),
    sale: (itemId: ItemId) =>
      withRedis(redis, async (connection) => {
        const item = await createStockLedger(connection).item(itemId);
        return item?.sale;
      }),
  };
}

/** On the gateway for reading and on Redis for changes. */
export const stockActions = (context: Context) => {
  const { withGateway } = context;
  const deps = (options: ActionOptions) => stockDeps(context, options);
  return {
    show: (options: ItemOptions) => withGateway(options, (it) => stockShow(it, options)),
    restock: (options: RestockOptions) => stockRestock(deps(options), options),
    saleSet: (options: SaleSetOptions) => saleSet(deps(options), options),
    saleClear: (options: ChangeOptions) => saleClear(deps(options), options),
  };
};

type StockActions = ReturnType<typeof stockActions>;

interface ItemOptions extends CommonOptions {
  readonly item: string;
}

interface ChangeOptions extends ActionOptions {
  readonly item: string;
}

/** `flash-sale stock show` and `sale show`: an item's units by state and how it is sold; 1 when it is unknown. */
export async function stockShow(
  { gateway, terminal }: { readonly gateway: Gateway; readonly terminal: Terminal },
  options: ItemOptions,
): Promise<ExitCode> {
  const item = await gateway.item(options.item);
  if (!item) {
    const text = unknownText(terminal, `Nothing is sold under ${options.item}.`);
    printResult(terminal, options, null, text);
    return 1;
  }
  const limit = item.units_per_user;
  const rows = [
    ['item', item.item_id],
    ['free', { text: String(item.free), colour: item.free > 0 ? 'green' : 'red' } as const],
    ['held', item.held],
    ['queued', item.queued],
    ['reserved', item.reserved],
    ['sold', item.sold],
    ['supply', item.supply],
    ['price', money(item.price_minor, item.currency)],
    ['limit', limit == null ? 'none' : `${limit} units per user`],
    ['opens', item.opens_at ?? 'open already'],
    ['closes', item.closes_at ?? 'never'],
    [
      'pay',
      item.pay === 'checkout'
        ? `by the buyer, within ${item.pay_within_seconds ?? '?'} s`
        : 'charged by the engine',
    ],
    ...(item.selling_stopped
      ? [['selling', { text: 'stopped, of every item', colour: 'red' } as const]]
      : []),
  ];
  printResult(terminal, options, item, table(terminal, rows));
  return 0;
}

interface Deps extends Operator {
  readonly terminal: Terminal;
  /** Connects to the stock and closes it again. Throws a UserError when Redis does not answer. */
  readonly withStock: <T>(use: (stock: StockOperations) => Promise<T>) => Promise<T>;
}

export interface RestockOptions extends ChangeOptions {
  readonly units: Restock['units'];
  /** Absent: a new one. */
  readonly operationId?: string | undefined;
  /** The free units that the operator has seen. */
  readonly expect?: number | undefined;
}

/** `flash-sale stock add` and `stock set`. Throws a UserError when the ledger refuses, or when Redis does not answer. */
export async function stockRestock(
  { terminal, by, record, withStock }: Deps,
  options: RestockOptions,
): Promise<ExitCode> {
  const { item, units, operationId = randomUUID(), expect: expectedFree, why } = options;
  const itemId = parseItemId(item);
  const request = { ...units, operation_id: operationId, expected_free: expectedFree };
  const restock = () =>
    withStock((stock) =>
      stock.restock({ itemId, operationId, units, expectedFree, by }).catch((cause: unknown) => {
        // It may have happened: only the same operation may be sent again.
        throw new UserError(
          `Redis gave no answer (${describeError(cause)}), so the units may be there or not. Run the same again with --operation-id ${operationId}: it never counts twice.`,
          { cause },
        );
      }),
    );
  const action = { action: 'stock.restock', itemId, why, request } as const;
  const result = await record(action, restock, restockOutcome);
  switch (result.kind) {
    case 'stale':
      throw refused(
        `${itemId} has ${result.free} free units, not ${expectedFree ?? 'as many'} as expected. Nothing was changed: look again, then decide.`,
      );
    case 'operation-reused':
      throw refused(
        `The operation ${operationId} has asked for something else before. Nothing was changed.`,
      );
    case 'too-many':
      throw refused(`${itemId} would have too many units. Nothing was changed.`);
    case 'unreadable':
      throw refused(
        `${result.detail}. Nothing was changed; "flash-sale stock set ${itemId} <units>" mends it.`,
      );
    case 'restocked':
  }
  const { before, after, supply, isNewItem, wasDoneBefore } = result;
  const supplyBefore = supply === undefined ? undefined : supply - (after - before);
  const ofSupply = supply === undefined ? '' : `, supply ${supplyBefore} → ${supply}`;
  const change = paint(terminal, 'green', plain(`${itemId}: ${before} → ${after} free${ofSupply}`));
  const note = wasDoneBefore
    ? ' (this operation had been done before: nothing was changed now)'
    : isNewItem
      ? ' (a new item, on sale from now on)'
      : '';
  const document = {
    item_id: itemId,
    operation_id: operationId,
    free_before: before,
    free: after,
    supply_before: supplyBefore,
    supply,
    new_item: isNewItem,
    done_before: wasDoneBefore,
  };
  printResult(terminal, options, document, `${change}${note}\n`);
  return 0;
}

interface SaleSetDeps extends Deps {
  /** The item's present sale; undefined for an unknown item. */
  readonly sale: (itemId: ItemId) => Promise<Sale | undefined>;
  readonly defaultCurrency: string;
}

export interface SaleSetOptions extends ChangeOptions {
  /** In major units, "10.00". Excludes priceMinor. */
  readonly price?: string | undefined;
  readonly priceMinor?: number | undefined;
  readonly currency?: string | undefined;
  readonly limit?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly opens?: number | undefined;
  readonly closes?: number | undefined;
  readonly pay?: (typeof WAYS_TO_PAY)[number] | undefined;
  /** Milliseconds. */
  readonly payWithin?: number | undefined;
  /** Set the limit although users own more. */
  readonly force?: boolean | undefined;
}

/** `flash-sale sale set`: changes the named parts of an item's sale. Throws a UserError when the ledger refuses. */
export async function saleSet(deps: SaleSetDeps, options: SaleSetOptions): Promise<ExitCode> {
  const itemId = parseItemId(options.item);
  const change: SaleChange = {
    ...(await priceChange(deps, itemId, options)),
    ...(options.limit !== undefined && { unitsPerUser: options.limit }),
    ...(options.opens !== undefined && { opensAt: options.opens }),
    ...(options.closes !== undefined && { closesAt: options.closes }),
    ...payChange(options),
  };
  if (Object.keys(change).length === 0) {
    throw new UserError('Name at least one thing to change: --help lists them.');
  }
  return applyChange(deps, itemId, change, options);
}

const NO_SALE: SaleChange = {
  priceMinor: null,
  currency: null,
  unitsPerUser: null,
  opensAt: null,
  closesAt: null,
  payWithinMs: null,
};

/** `flash-sale sale clear`: the item is sold without a limit or a window, at the default price, and the engine charges. */
export async function saleClear(deps: Deps, options: ChangeOptions): Promise<ExitCode> {
  return applyChange(deps, parseItemId(options.item), NO_SALE, options);
}

/** `flash-sale item close`: the sale ends now, by the clock of Redis. */
export async function saleClose(deps: Deps, options: ChangeOptions): Promise<ExitCode> {
  return applyChange(deps, parseItemId(options.item), { closesAt: 'now' }, options);
}

/** The two options go together, so that neither changes the meaning of what the sale has of the other. */
function payChange({ pay, payWithin }: SaleSetOptions): SaleChange {
  if ((pay === 'checkout') !== (payWithin !== undefined)) {
    throw new UserError(
      '--pay checkout needs --pay-within, such as --pay-within 10m, and only it has one. Nothing was changed.',
    );
  }
  return pay === undefined ? {} : { payWithinMs: payWithin ?? null };
}

/** A price in major units is parsed by its currency, and both are written. */
async function priceChange(
  { sale, defaultCurrency }: SaleSetDeps,
  itemId: ItemId,
  { price, priceMinor, currency }: SaleSetOptions,
): Promise<SaleChange> {
  if (price !== undefined && priceMinor !== undefined) {
    throw new UserError('--price and --price-minor say the same: give one of them.');
  }
  if (price === undefined) {
    return { ...(priceMinor !== undefined && { priceMinor }), ...(currency && { currency }) };
  }
  const present =
    currency === undefined
      ? await sale(itemId).catch((cause: unknown) => {
          throw new UserError(
            `Redis gave no answer (${describeError(cause)}) when asked for the currency of ${itemId}. Nothing was changed.`,
            { cause },
          );
        })
      : undefined;
  const inForce = currency ?? present?.currency ?? defaultCurrency;
  return { priceMinor: parsePrice(price, inForce), currency: inForce };
}

/** "10.00" in USD is 1000, "1000" in JPY is 1000. Throws a UserError for a text that is no price in the currency. */
export function parsePrice(text: string, currency: string, max = PRICE_MINOR_MAX): number {
  const digits = minorDigits(currency);
  const [, whole = '', fraction = ''] = /^(\d{1,12})(?:\.(\d+))?$/.exec(text) ?? [];
  const minor = Number(whole + fraction.padEnd(digits, '0'));
  if (whole !== '' && fraction.length <= digits && minor >= 1 && minor <= max) {
    return minor;
  }
  const example = digits === 0 ? '1000' : `10.${'0'.repeat(digits)}`;
  throw new UserError(
    `"${text}" is no price in ${currency}: write it as ${example}, more than nothing, with at most ${digits} digits after the point. Nothing was changed.`,
  );
}

async function applyChange(
  { terminal, by, record, withStock }: Deps,
  itemId: ItemId,
  change: SaleChange,
  options: ActionOptions & { readonly force?: boolean | undefined },
): Promise<ExitCode> {
  const { why, force = false } = options;
  const apply = () =>
    withStock((stock) =>
      stock.changeSale(itemId, change, { by, force }).catch((cause: unknown) => {
        throw new UserError(
          `Redis gave no answer (${describeError(cause)}), so the change may have been made or not: look with "flash-sale sale show ${itemId}", or run the same again, which changes nothing twice.`,
          { cause },
        );
      }),
    );
  const action = {
    action: 'sale.change',
    itemId,
    why,
    request: saleRequest(change, force),
  } as const;
  const result = await record(action, apply, saleOutcome);
  if (result.kind !== 'changed') {
    throw refused(`${refusalText(result, itemId)} Nothing was changed.`);
  }
  const text = `The sale of ${itemId} is changed: flash-sale sale show ${itemId}\n`;
  printResult(terminal, options, { item_id: itemId, changed: true }, text);
  return 0;
}

/** By the names that the HTTP interface has for the fields. */
function saleRequest(change: SaleChange, force: boolean) {
  const { priceMinor, currency, unitsPerUser, opensAt, closesAt, payWithinMs: within } = change;
  const time = (at: SaleChange['closesAt']) =>
    typeof at === 'number' ? new Date(at).toISOString() : at;
  return {
    price_minor: priceMinor,
    currency,
    units_per_user: unitsPerUser,
    opens_at: time(opensAt),
    closes_at: time(closesAt),
    pay: within === undefined ? undefined : within === null ? 'charge' : 'checkout',
    pay_within_seconds: typeof within === 'number' ? within / 1000 : within,
    force,
  };
}

function refusalText(result: Exclude<SaleChangeResult, { kind: 'changed' }>, itemId: ItemId) {
  switch (result.kind) {
    case 'unknown-item':
      return `${itemId} is not on sale: "flash-sale stock set ${itemId} 0" makes it known without selling any.`;
    case 'stale':
      return `${itemId} has ${result.free} free units by now.`;
    case 'window': {
      const [opens, closes] = [new Date(result.opensAt), new Date(result.closesAt)];
      return `The sale would end (${closes.toISOString()}) before it starts (${opens.toISOString()}).`;
    }
    case 'units-owned':
      return `${result.users} users own more than that, one of them ${result.most} units; with --force the limit holds for whatever they buy from now on.`;
    case 'uncounted':
      return 'some of its buyers are only in the archive: set the limit with PUT /operator/items/{id}, whose gateway counts them.';
    case 'unreadable':
      return `${result.detail}: name it anew in the same command.`;
  }
}
