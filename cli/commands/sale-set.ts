import type { Sale } from '../../engine/orders/ledger';
import type { ItemId } from '../../engine/orders/order';
import { minorDigits, PRICE_MINOR_MAX } from '../../engine/orders/sale';
import type { SaleChange, SaleChangeResult } from '../../engine/stock/operations/stock-operations';
import { itemIdGiven } from '../arguments/item-id';
import { printJson, type ExitCode } from '../output/terminal';
import type { StockOperationsDeps } from './stock/restock';
import { UserError, describeError } from '../../platform/user-error';

export interface SaleSetDeps extends StockOperationsDeps {
  /** How the item is sold now; undefined for an unknown one. */
  readonly sale: (itemId: ItemId) => Promise<Sale | undefined>;
  readonly defaultCurrency: string;
}

export interface SaleSetOptions {
  readonly item: string;
  /** In major units, "10.00". Exclusive with priceMinor. */
  readonly price?: string | undefined;
  readonly priceMinor?: number | undefined;
  readonly currency?: string | undefined;
  readonly limit?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly opens?: number | undefined;
  readonly closes?: number | undefined;
  /** Also where users are above the new limit. */
  readonly force?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** `flash-sale sale set`: changes what is named of an item's sale. Throws a UserError when the ledger refuses. */
export async function saleSet(deps: SaleSetDeps, options: SaleSetOptions): Promise<ExitCode> {
  const itemId = itemIdGiven(options.item);
  const change: SaleChange = {
    ...(await priceChange(deps, itemId, options)),
    ...(options.limit !== undefined && { unitsPerUser: options.limit }),
    ...(options.opens !== undefined && { opensAt: options.opens }),
    ...(options.closes !== undefined && { closesAt: options.closes }),
  };
  if (Object.keys(change).length === 0) {
    throw new UserError('Name at least one thing to change: --help lists them.');
  }
  return applyChange(deps, itemId, { change, ...options });
}

/** `flash-sale sale clear`: the item is sold without a limit or a window, at the default price. */
export async function saleClear(
  deps: StockOperationsDeps,
  { item, json }: { readonly item: string; readonly json?: boolean | undefined },
): Promise<ExitCode> {
  return applyChange(deps, itemIdGiven(item), { change: NO_SALE, json });
}

const NO_SALE: SaleChange = {
  ...{ priceMinor: null, currency: null, unitsPerUser: null, opensAt: null, closesAt: null },
};

/** A price is nothing without its currency, so both are written whenever one is typed. */
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
  const read = () =>
    sale(itemId).catch((cause: unknown) => {
      throw new UserError(
        `Redis gave no answer (${describeError(cause)}) when asked for the currency of ${itemId}. Nothing was changed.`,
        { cause },
      );
    });
  const inForce = currency ?? (await read())?.currency ?? defaultCurrency;
  return { priceMinor: parsePrice(price, inForce), currency: inForce };
}

/** "10.00" in USD is 1000, "1000" in JPY is 1000. Throws a UserError for what is no price in the currency. */
export function parsePrice(text: string, currency: string): number {
  const digits = minorDigits(currency);
  const [, whole = '', fraction = ''] = /^(\d{1,12})(?:\.(\d+))?$/.exec(text) ?? [];
  const minor = Number(whole + fraction.padEnd(digits, '0'));
  if (whole !== '' && fraction.length <= digits && minor >= 1 && minor <= PRICE_MINOR_MAX) {
    return minor;
  }
  const example = digits === 0 ? '1000' : `10.${'0'.repeat(digits)}`;
  throw new UserError(
    `"${text}" is no price in ${currency}: write it as ${example}, more than nothing, with at most ${digits} digits after the point. Nothing was changed.`,
  );
}

async function applyChange(
  { terminal, by, withStock }: StockOperationsDeps,
  itemId: ItemId,
  options: {
    readonly change: SaleChange;
    readonly force?: boolean | undefined;
    readonly json?: boolean | undefined;
  },
): Promise<ExitCode> {
  const who = { by, force: options.force === true };
  const answer = await withStock((stock) =>
    stock.changeSale(itemId, options.change, who).catch((cause: unknown) => {
      throw new UserError(
        `Redis gave no answer (${describeError(cause)}), so the change may have been made or not: look with "flash-sale sale show ${itemId}", or run the same again, which changes nothing twice.`,
        { cause },
      );
    }),
  );
  const refusal = refusalOf(answer, itemId);
  if (refusal !== undefined)
    throw new UserError(`${refusal} Nothing was changed.`, { exitCode: 1 });
  if (options.json) printJson(terminal, { item_id: itemId, changed: true });
  else terminal.out(`The sale of ${itemId} is changed: flash-sale sale show ${itemId}\n`);
  return 0;
}

function refusalOf(answer: SaleChangeResult, itemId: ItemId): string | undefined {
  switch (answer.kind) {
    case 'changed':
      return undefined;
    case 'unknown-item':
      return `${itemId} is not on sale: "flash-sale stock set ${itemId} 0" makes it known without selling any.`;
    case 'window': {
      const [opens, closes] = [answer.opensAt, answer.closesAt].map((ms) =>
        new Date(ms).toISOString(),
      );
      return `The sale would end (${closes ?? ''}) before it starts (${opens ?? ''}).`;
    }
    case 'units-owned':
      return `${answer.users} users own more than that, one of them ${answer.most} units; with --force the limit holds for whatever they buy from now on.`;
    case 'unreadable':
      return `${answer.detail}: name it anew in the same command.`;
  }
}
