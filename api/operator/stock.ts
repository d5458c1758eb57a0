import { isCurrency, SALE_TIME_MAX } from '../../engine/orders/sale';
import { parseItemId, type ItemId, type Price } from '../../engine/orders/order';
import type { StockOperations } from '../../engine/stock/operations/stock-operations';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { json, type HttpResponse } from '../http/response';
import { problem } from '../http/problems';
import { itemBody } from '../items';
import { readFromRedis } from '../http/errors';
import { createParser, readTime } from './read-request';
import { invalid, Refusal } from './refusal';
import { RestockRequest, SaleRequest } from './requests';

export interface StockRoutesDeps {
  readonly operations: StockOperations;
  readonly ledger: Pick<StockLedger, 'item'>;
  readonly defaultPrice: Price;
}

const parseSale = createParser(SaleRequest);
const parseRestock = createParser(RestockRequest);

/** What operators do with items. Every handler takes the raw item id and the parsed JSON; it throws a Refusal, or what Redis throws. */
export function createStockRoutes({ operations, ledger, defaultPrice }: StockRoutesDeps) {
  const item = async (raw: string | undefined): Promise<HttpResponse> => {
    const itemId = itemIdOf(raw);
    const found = await readFromRedis(ledger.item(itemId)).catch(unreadable);
    if (!found) return unknownItem(itemId);
    return json(200, itemBody(itemId, found, defaultPrice), NO_STORE);
  };
  return {
    item,

    putSale: async (raw: string | undefined, value: unknown): Promise<HttpResponse> => {
      const itemId = itemIdOf(raw);
      const sale = parseSale(value);
      const { price_minor = null, currency = null, units_per_user = null, force = false } = sale;
      if (currency !== null && !isCurrency(currency)) {
        throw invalid({ path: '/currency', message: 'must be a currency of ISO 4217 such as USD' });
      }
      const change = {
        ...{ priceMinor: price_minor, currency, unitsPerUser: units_per_user },
        opensAt: saleTime(sale.opens_at, '/opens_at'),
        closesAt: saleTime(sale.closes_at, '/closes_at'),
      };
      const who = { by: sale.by, force };
      const answer = await readFromRedis(operations.changeSale(itemId, change, who));
      switch (answer.kind) {
        case 'changed':
          return item(raw);
        case 'unknown-item':
          return unknownItem(itemId);
        case 'window':
          throw invalid({ path: '/closes_at', message: 'must be later than opens_at' });
        case 'units-owned': {
          const { users, most } = answer;
          const detail = `${users} users own more than that, one of them ${most} units. Nothing was changed; \`force: true\` lets the limit hold for whatever they buy from now on.`;
          return problem('units-owned', { detail, members: { users, most } });
        }
        case 'unreadable':
          return problem('unreadable-stock', { detail: `${answer.detail}. Nothing was changed.` });
      }
    },

    restock: async (raw: string | undefined, value: unknown): Promise<HttpResponse> => {
      const itemId = itemIdOf(raw);
      const { units, free, operation_id: operationId, by } = parseRestock(value);
      const asked = units !== undefined ? { add: units } : { free: free ?? 0 };
      if ((units === undefined) === (free === undefined)) {
        throw invalid({ path: '', message: 'must have either units or free' });
      }
      const restock = { itemId, operationId, units: asked, by };
      const answer = await readFromRedis(operations.restock(restock));
      switch (answer.kind) {
        case 'restocked':
          return json(200, {
            ...{ item_id: itemId, operation_id: operationId },
            ...{ free_before: answer.before, free: answer.after },
            ...{ new_item: answer.isNewItem, done_before: answer.wasDoneBefore },
          });
        case 'operation-reused':
          return problem('operation-reused');
        case 'too-many':
          throw invalid({ path: '/units', message: 'would make more units than can be counted' });
        case 'unreadable': {
          const detail = `${answer.detail}. Nothing was changed; a restock with \`free\` mends it.`;
          return problem('unreadable-stock', { detail });
        }
      }
    },
  };
}

const NO_STORE = { 'cache-control': 'no-store' };

function itemIdOf(raw: string | undefined): ItemId {
  const itemId = parseItemId(raw);
  if (itemId === undefined) throw new Refusal(problem('unknown-item'));
  return itemId;
}

function unknownItem(itemId: ItemId): HttpResponse {
  const detail =
    'Nothing is sold under this item_id; a restock puts it on sale, also with 0 free units.';
  return problem('unknown-item', { detail, members: { item_id: itemId } });
}

function saleTime(text: string | null | undefined, path: string): number | null {
  const at = readTime(text ?? null, path);
  if (at === null || (at >= 0 && at <= SALE_TIME_MAX)) return at;
  throw invalid({ path, message: 'must be a time from 1970 to 9999' });
}

/** The scripts' own words for what was written by hand and cannot be read. */
function unreadable(fault: unknown): never {
  const error = fault instanceof Error ? fault.cause : undefined;
  const detail =
    error instanceof Error && /BAD(?:STOCK|SALE) (.+?)(?: script: .*)?$/.exec(error.message)?.[1];
  if (typeof detail === 'string') throw new Refusal(problem('unreadable-stock', { detail }));
  throw fault;
}
