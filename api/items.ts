import type { Sale, StockCounts } from '../engine/orders/ledger';
import { parseItemId, type ItemId, type Price } from '../engine/orders/order';
import type { StockLedger } from '../engine/stock/stock-ledger';
import { json, tagged, unlessKnown, type HttpResponse } from './http/response';
import { problem } from './http/problems';
import { readFromRedis } from './http/errors';

export interface Items {
  /** GET /items/<raw>; `ifNoneMatch` is that header. Throws RequestError. */
  readonly answer: (
    raw: string | undefined,
    ifNoneMatch: string | undefined,
  ) => Promise<HttpResponse>;
}

/** Items as a crowd polls them. `defaultPrice` is the price of an item whose sale names none. */
export function createItems(ledger: Pick<StockLedger, 'item'>, defaultPrice: Price): Items {
  const reading = new Map<ItemId, Promise<HttpResponse>>();

  const read = async (itemId: ItemId): Promise<HttpResponse> => {
    const item = await readFromRedis(ledger.item(itemId));
    if (!item) return problem('unknown-item', { members: { item_id: itemId } });
    return tagged(json(200, itemBody(itemId, item, defaultPrice)), CACHEABLE);
  };
  /** Requests that meet share one read; nothing is kept after it, so that no answer is older than its request by more than that. */
  const readOnce = (itemId: ItemId): Promise<HttpResponse> => {
    const running = reading.get(itemId);
    if (running) return running;
    const started = read(itemId).finally(() => reading.delete(itemId));
    reading.set(itemId, started);
    return started;
  };

  return {
    answer: async (raw, ifNoneMatch) => {
      const itemId = parseItemId(raw);
      if (itemId === undefined) return problem('unknown-item');
      return unlessKnown(await readOnce(itemId), ifNoneMatch);
    },
  };
}

/** An item as the outside reads it. Times are ISO 8601. */
export interface ItemBody extends StockCounts {
  readonly item_id: string;
  readonly price_minor: number;
  readonly currency: string;
  readonly units_per_user: number | null;
  readonly opens_at: string | null;
  readonly closes_at: string | null;
}

/** An item and its sale in the words of the outside contract. */
export function itemBody(
  itemId: ItemId,
  { counts, sale }: { readonly counts: StockCounts; readonly sale: Sale },
  defaultPrice: Price,
): ItemBody {
  const { free, held, queued, reserved, sold, supply } = counts;
  return {
    item_id: itemId,
    ...{ free, held, queued, reserved, sold, supply },
    price_minor: sale.priceMinor ?? defaultPrice.priceMinor,
    currency: sale.currency ?? defaultPrice.currency,
    units_per_user: sale.unitsPerUser ?? null,
    opens_at: isoOrNull(sale.opensAt),
    closes_at: isoOrNull(sale.closesAt),
  };
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/** A second: short beside a sale, long beside a crowd. */
const CACHEABLE = 'public, max-age=1';
