import { Type, type Static } from '@sinclair/typebox';
import { type ItemId, type Price, parseItemId } from '../../engine/orders/order';
import type { SellingWatch } from '../../engine/stock/selling-switch';
import type { StockLedger } from '../../engine/stock/stock-ledger';
import { Id } from '../buy/buy-request';
import { readFromRedis } from '../http/errors';
import { problem } from '../http/problems';
import { json, tagged, unlessKnown, type HttpResponse } from '../http/response';
import {
  CACHE_HEADERS,
  IF_NONE_MATCH,
  jsonResponse,
  NOT_MODIFIED,
  object,
  oneOf,
  orNull,
  pathParameter,
  time,
  units,
  type Route,
} from './route';
import {
  PAY_WITHIN_MS_MAX,
  PAY_WITHIN_MS_MIN,
  type Sale,
  type StockCounts,
} from '../../engine/orders/sale';

/** An item as the outside reads it. */
export const Item = object({
  item_id: Id,
  free: units('units that can be bought now'),
  held: units('units of purchases that are being answered'),
  queued: units('units of accepted orders'),
  reserved: units('units of orders that are being paid'),
  sold: units('units of confirmed orders'),
  supply: units('always free + held + queued + reserved + sold'),
  price_minor: Type.Integer({
    minimum: 0,
    description: 'price of a unit, in minor units of the currency such as cents',
  }),
  currency: Type.String({ description: 'ISO 4217' }),
  units_per_user: orNull(Type.Integer({ minimum: 1 }), 'null: no limit'),
  opens_at: orNull(time('start of the sale'), 'null: open from the beginning'),
  closes_at: orNull(time('end of the sale'), 'null: no end'),
  pay: oneOf(['charge', 'checkout'], 'charge: the engine charges; checkout: buyers pay themselves'),
  pay_within_seconds: orNull(
    Type.Number({ minimum: PAY_WITHIN_MS_MIN / 1000, maximum: PAY_WITHIN_MS_MAX / 1000 }),
    'how long a buyer has to pay in checkout, from the reservation; null: charge',
  ),
  selling_stopped: Type.Boolean({
    description: 'true while operators have stopped the selling of every item',
  }),
});

export const ITEM_ID = pathParameter('item_id', '101', 'the item');

/** GET /items/<id>, which a crowd polls. Items whose sale has no price of its own cost `defaultPrice`. */
export function itemRoute(
  ledger: Pick<StockLedger, 'item'>,
  defaultPrice: Price,
  selling: SellingWatch['standing'],
): Route {
  const reading = new Map<ItemId, Promise<HttpResponse>>();

  const read = async (itemId: ItemId): Promise<HttpResponse> => {
    const item = await readFromRedis(ledger.item(itemId));
    if (!item) return problem('unknown-item', { members: { item_id: itemId } });
    const body = itemBody(itemId, item, defaultPrice, selling());
    return tagged(json(200, body), CACHE_CONTROL);
  };
  /** Concurrent requests share one read. Nothing is kept after it, so no response is older than that read. */
  const readOnce = (itemId: ItemId): Promise<HttpResponse> => {
    const running = reading.get(itemId);
    if (running) return running;
    const started = read(itemId).finally(() => reading.delete(itemId));
    reading.set(itemId, started);
    return started;
  };

  return {
    method: 'get',
    path: '/items/{item_id}',
    id: 'item',
    summary: 'Read an item',
    description: 'Stock, price and opening times of the sale.',
    parameters: [ITEM_ID, IF_NONE_MATCH],
    responses: [
      jsonResponse(200, 'The item.', { schema: Item, example: ITEM_EXAMPLE }, CACHE_HEADERS),
      NOT_MODIFIED,
    ],
    problems: ['unknown-item', 'internal', 'not-accepted'],
    handle: async ({ params, req }) => {
      const itemId = parseItemId(params['item_id']);
      if (itemId === undefined) return problem('unknown-item');
      return unlessKnown(await readOnce(itemId), req.headers['if-none-match']);
    },
  };
}

/** One second: short for a sale, long for a crowd that polls. */
const CACHE_CONTROL = 'public, max-age=1';

export function itemBody(
  itemId: ItemId,
  { counts, sale }: { readonly counts: StockCounts; readonly sale: Sale },
  defaultPrice: Price,
  selling: ReturnType<SellingWatch['standing']>,
): Static<typeof Item> {
  return {
    item_id: itemId,
    free: counts.free,
    held: counts.held,
    queued: counts.queued,
    reserved: counts.reserved,
    sold: counts.sold,
    supply: counts.supply,
    price_minor: sale.priceMinor ?? defaultPrice.priceMinor,
    currency: sale.currency ?? defaultPrice.currency,
    units_per_user: sale.unitsPerUser ?? null,
    opens_at: isoOrNull(sale.opensAt),
    closes_at: isoOrNull(sale.closesAt),
    pay: sale.payWithinMs === undefined ? 'charge' : 'checkout',
    pay_within_seconds: sale.payWithinMs === undefined ? null : sale.payWithinMs / 1000,
    selling_stopped: selling === 'stopped',
  };
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

export const ITEM_EXAMPLE: Static<typeof Item> = {
  item_id: '101',
  free: 97,
  held: 0,
  queued: 1,
  reserved: 1,
  sold: 1,
  supply: 100,
  price_minor: 1000,
  currency: 'USD',
  units_per_user: 2,
  opens_at: '2026-01-05T12:00:00.000Z',
  closes_at: null,
  pay: 'checkout',
  pay_within_seconds: 600,
  selling_stopped: false,
};
