import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { AMOUNT_MAX, type ItemId } from '../../../engine/orders/order';
import {
  isCurrency,
  PAY_WITHIN_MS_MAX,
  PAY_WITHIN_MS_MIN,
  PRICE_MINOR_MAX,
  RESTOCK_UNITS_MAX,
  SALE_TIME_MAX,
} from '../../../engine/orders/sale';
import { WHY_LENGTH_MAX } from '../../../engine/dead-letters/operator';
import { restockOutcome, saleOutcome } from '../../../engine/operators/outcomes';
import type { RestockResult, SaleChange } from '../../../engine/stock/stock-operations';
import { Id } from '../../buy/buy-request';
import { readFromRedis, RequestError } from '../../http/errors';
import { parseItemId } from '../../../engine/orders/order';
import { problem } from '../../http/problems';
import { json, type HttpResponse } from '../../http/response';
import { Item, ITEM_EXAMPLE, ITEM_ID, itemBody } from '../items';
import {
  NO_STORE,
  object,
  oneOf,
  orNull,
  text,
  units,
  type Parameter,
  type RouteContext,
} from '../route';
import {
  By,
  invalid,
  JSON_OBJECT,
  operatorRoute,
  readTime,
  visibleText,
  whole,
  type Operator,
} from './operator';

/** The free units are what an operator decides by, so they alone are the tag of an item. */
const FREE_TAG = { ETag: 'the free units, in quotes: for If-Match' };
const freeTag = (free: number) => ({ etag: `"${free}"` });

const IF_MATCH: Parameter = {
  in: 'header',
  name: 'If-Match',
  description: 'the ETag of the item as it was read: with other free units, nothing is changed',
  schema: Type.String(),
};

const readItem = operatorRoute({
  method: 'get',
  path: '/operator/items/{item_id}',
  id: 'operatorItem',
  summary: 'Read an item without a cache',
  description:
    'The same as buyers read, at this moment; if the stock or sale cannot be read, the reason.',
  parameters: [ITEM_ID],
  response: { description: 'The item.', schema: Item, example: ITEM_EXAMPLE, headers: FREE_TAG },
  problems: ['unknown-item', 'unreadable-stock'],
  handle: (operator, { params }) => itemResponse(operator, itemIdOf(params)),
});

/** Optional, as it is with `SET inventory:<item>`. */
const Why = Type.Optional(visibleText(WHY_LENGTH_MAX));

/** An absent field stays as it is; null unsets the property. */
const SaleRequest = object(
  {
    price_minor: optional(whole(1, PRICE_MINOR_MAX)),
    currency: optional(text('must be a currency of ISO 4217 such as USD')),
    units_per_user: optional(whole(1, AMOUNT_MAX)),
    opens_at: optional(text('must be a time such as 2026-11-24T10:00Z')),
    closes_at: optional(text('must be a time such as 2026-11-24T10:00Z')),
    pay: optional(oneOf(['charge', 'checkout'], 'must be charge or checkout')),
    pay_within_seconds: optional(whole(PAY_WITHIN_MS_MIN / 1000, PAY_WITHIN_MS_MAX / 1000)),
    force: Type.Optional(Type.Boolean({ description: 'must be true or false' })),
    by: By,
    why: Why,
  },
  JSON_OBJECT,
);

function optional<T extends TSchema>(schema: T) {
  return Type.Optional(orNull(schema, `${schema.description ?? ''}, or null`));
}

const putSale = operatorRoute({
  method: 'put',
  path: '/operator/items/{item_id}',
  action: 'sale.change',
  id: 'operatorPutSale',
  summary: 'Change how an item is sold',
  description:
    'Changes the price, limit, opening times and way to pay that the body names, all of them or none; null unsets one. `pay: checkout` needs `pay_within_seconds`, and only that has it. With If-Match, only if the free units are still those. Accepted orders keep their price and way to pay.',
  parameters: [ITEM_ID, IF_MATCH],
  body: {
    schema: SaleRequest,
    example: { price_minor: 1000, currency: 'USD', units_per_user: 2, why: 'the sale of May' },
  },
  response: {
    description: 'The item after the change.',
    schema: Item,
    example: ITEM_EXAMPLE,
    headers: FREE_TAG,
  },
  problems: ['unknown-item', 'stale-stock', 'units-owned', 'unreadable-stock'],
  handle: async (operator, { params, body, ifMatch, by }) => {
    const itemId = itemIdOf(params);
    const change = saleChange(body);
    const expectedFree = expectedUnits(ifMatch);
    const how = { by, force: body.force === true, expectedFree };
    const result = await readFromRedis(operator.operations.changeSale(itemId, change, how));
    switch (result.kind) {
      case 'changed':
        return { ...(await itemResponse(operator, itemId)), ...saleOutcome(result) };
      case 'unknown-item':
        return unknownItem(itemId);
      case 'stale':
        return problem('stale-stock', { members: { free: result.free, expected: expectedFree } });
      case 'window':
        throw invalid({ path: '/closes_at', message: 'must be later than opens_at' });
      case 'units-owned': {
        const { users, most } = result;
        const detail = `${users} users own more than that, one of them ${most} units. Nothing was changed; \`force: true\` applies the limit to their further purchases.`;
        return problem('units-owned', { detail, members: { users, most } });
      }
      case 'uncounted':
        return problem('not-accepted', {
          detail:
            'Some of its buyers are only in the archive, and this gateway has none: set DATABASE_URL. Nothing was changed.',
        });
      case 'unreadable':
        return problem('unreadable-stock', { detail: `${result.detail}. Nothing was changed.` });
    }
  },
});

/** Either `units` to add, or the `free` units to set. */
const RestockRequest = object(
  {
    units: Type.Optional(whole(1, RESTOCK_UNITS_MAX)),
    free: Type.Optional(whole(0, RESTOCK_UNITS_MAX)),
    operation_id: Id,
    by: By,
    why: Why,
  },
  JSON_OBJECT,
);

const Restocked = object({
  item_id: Id,
  operation_id: Id,
  free_before: units('free units before'),
  free: units('free units right after it'),
  supply_before: Type.Optional(units('units ever put on sale, before')),
  supply: Type.Optional(
    units('the same right after it; absent for an operation of an earlier version'),
  ),
  new_item: Type.Boolean({ description: 'true if this put the item on sale' }),
  done_before: Type.Boolean({
    description: 'true if the operation was carried out before; nothing was done now',
  }),
});

const restock = operatorRoute({
  method: 'post',
  path: '/operator/items/{item_id}/restock',
  action: 'stock.restock',
  id: 'operatorRestock',
  summary: 'Put units on sale',
  description:
    'Adds `units`, or sets the `free` units; the supply moves by the difference. With If-Match, only if the free units are still those. A repeated operation_id has no further effect. An unknown item is put on sale.',
  parameters: [ITEM_ID, IF_MATCH],
  body: {
    schema: RestockRequest,
    example: { units: 50, operation_id: 'restock-1', why: 'a late delivery' },
  },
  response: {
    description: 'Done, now or before.',
    schema: Restocked,
    example: {
      item_id: '101',
      operation_id: 'restock-1',
      free_before: 3,
      free: 53,
      supply_before: 100,
      supply: 150,
      new_item: false,
      done_before: false,
    },
  },
  problems: ['unknown-item', 'stale-stock', 'operation-reused', 'unreadable-stock'],
  handle: async ({ operations }, { params, body, ifMatch, by }) => {
    const itemId = itemIdOf(params);
    const { units: add, free, operation_id: operationId } = body;
    if ((add === undefined) === (free === undefined)) {
      throw invalid({ path: '', message: 'must have either units or free' });
    }
    const asked = add !== undefined ? { add } : { free: free ?? 0 };
    const expectedFree = expectedUnits(ifMatch);
    const result = await readFromRedis(
      operations.restock({ itemId, operationId, units: asked, expectedFree, by }),
    );
    switch (result.kind) {
      case 'restocked':
        return {
          ...json(200, restockedBody(itemId, operationId, result)),
          ...restockOutcome(result),
        };
      case 'stale':
        return problem('stale-stock', { members: { free: result.free, expected: expectedFree } });
      case 'operation-reused':
        return problem('operation-reused');
      case 'too-many':
        throw invalid({ path: '/units', message: 'would make more units than can be counted' });
      case 'unreadable': {
        const detail = `${result.detail}. Nothing was changed; a restock with \`free\` repairs it.`;
        return problem('unreadable-stock', { detail });
      }
    }
  },
});

function restockedBody(
  itemId: ItemId,
  operationId: string,
  result: Extract<RestockResult, { readonly kind: 'restocked' }>,
): Static<typeof Restocked> {
  const { before, after, supply } = result;
  return {
    item_id: itemId,
    operation_id: operationId,
    free_before: before,
    free: after,
    ...(supply !== undefined && { supply_before: supply - (after - before), supply }),
    new_item: result.isNewItem,
    done_before: result.wasDoneBefore,
  };
}

/** What operators do with items. */
export const STOCK_ROUTES = [readItem, putSale, restock];

async function itemResponse(
  { ledger, defaultPrice, selling }: Operator,
  itemId: ItemId,
): Promise<HttpResponse> {
  const found = await readFromRedis(ledger.item(itemId)).catch(throwUnreadable);
  if (!found) return unknownItem(itemId);
  const { free } = found.counts;
  const body = itemBody(itemId, found, defaultPrice, selling.standing());
  return json(200, body, { ...NO_STORE, ...freeTag(free) });
}

function itemIdOf(params: RouteContext['params']): ItemId {
  const itemId = parseItemId(params['item_id']);
  if (itemId !== undefined) return itemId;
  throw new RequestError('not an id', { problem: 'unknown-item' });
}

function unknownItem(itemId: ItemId): HttpResponse {
  const detail =
    'Nothing is sold under this item_id; a restock puts it on sale, even with 0 free units.';
  return problem('unknown-item', { detail, members: { item_id: itemId } });
}

/** What the body names. Throws a RequestError when it names nothing, no currency or no time. */
function saleChange(body: Static<typeof SaleRequest>): SaleChange {
  const { price_minor, currency, units_per_user, opens_at, closes_at } = body;
  const payWithinMs = payWithin(body);
  if (currency != null && !isCurrency(currency)) {
    throw invalid({ path: '/currency', message: 'must be a currency of ISO 4217 such as USD' });
  }
  const change: SaleChange = {
    ...(price_minor !== undefined && { priceMinor: price_minor }),
    ...(currency !== undefined && { currency }),
    ...(units_per_user !== undefined && { unitsPerUser: units_per_user }),
    ...(opens_at !== undefined && { opensAt: saleTime(opens_at, '/opens_at') }),
    ...(closes_at !== undefined && { closesAt: saleTime(closes_at, '/closes_at') }),
    ...(payWithinMs !== undefined && { payWithinMs }),
  };
  if (Object.keys(change).length > 0) return change;
  throw invalid({ path: '', message: 'must name at least one field to change' });
}

/** The two fields go together, so that neither changes the meaning of what the sale has of the other. */
function payWithin(body: Static<typeof SaleRequest>): SaleChange['payWithinMs'] {
  const { pay, pay_within_seconds: seconds } = body;
  if ((pay === 'checkout') !== (seconds != null)) {
    throw invalid({
      path: '/pay_within_seconds',
      message: 'must come with the pay checkout, and that with it',
    });
  }
  if (seconds != null) return seconds * 1000;
  return pay === undefined && seconds === undefined ? undefined : null;
}

function saleTime(value: string | null, path: string): number | null {
  const at = readTime(value, path);
  if (at === null || (at >= 0 && at <= SALE_TIME_MAX)) return at;
  throw invalid({ path, message: 'must be a time from 1970 to 9999' });
}

/** The free units that the request expects; undefined for any number. Throws a RequestError for anything but one ETag. */
function expectedUnits(ifMatch: string | undefined): number | undefined {
  if (ifMatch === undefined || ifMatch.trim() === '*') return undefined;
  const [, units] = /^\s*"(\d{1,15})"\s*$/.exec(ifMatch) ?? [];
  if (units !== undefined) return Number(units);
  throw invalid({ path: '', message: 'must come with an If-Match such as "100", or without one' });
}

/** The Lua scripts name the value that was written by hand and cannot be read. */
function throwUnreadable(error: unknown): never {
  const cause = error instanceof Error ? error.cause : undefined;
  const detail =
    cause instanceof Error && /BAD(?:STOCK|SALE) (.+?)(?: script: .*)?$/.exec(cause.message)?.[1];
  if (typeof detail !== 'string') throw error;
  throw new RequestError('unreadable stock', { problem: 'unreadable-stock', detail, cause: error });
}
