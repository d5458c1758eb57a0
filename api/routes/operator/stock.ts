import { Type, type Static, type TSchema } from '@sinclair/typebox';
import { AMOUNT_MAX, type ItemId } from '../../../engine/orders/order';
import {
  isCurrency,
  PRICE_MINOR_MAX,
  RESTOCK_UNITS_MAX,
  SALE_TIME_MAX,
} from '../../../engine/orders/sale';
import { Id } from '../../buy/buy-request';
import { readFromRedis, RequestError } from '../../http/errors';
import { parseItemId } from '../../../engine/orders/order';
import { problem } from '../../http/problems';
import { json, type HttpResponse } from '../../http/response';
import { Item, ITEM_EXAMPLE, ITEM_ID, itemBody } from '../items';
import { NO_STORE, object, orNull, text, units, type RouteContext } from '../route';
import {
  By,
  invalid,
  JSON_OBJECT,
  operatorRoute,
  readTime,
  whole,
  type Operator,
} from './operator';

const readItem = operatorRoute({
  method: 'get',
  path: '/operator/items/{item_id}',
  id: 'operatorItem',
  summary: 'Read an item without a cache',
  description:
    'The same as buyers read, at this moment; if the stock or sale cannot be read, the reason.',
  parameters: [ITEM_ID],
  response: { description: 'The item.', schema: Item, example: ITEM_EXAMPLE },
  problems: ['unknown-item', 'unreadable-stock'],
  handle: (operator, { params }) => itemResponse(operator, itemIdOf(params)),
});

/** An absent field or null leaves the property unset. */
const SaleRequest = object(
  {
    price_minor: optional(whole(1, PRICE_MINOR_MAX)),
    currency: optional(text('must be a currency of ISO 4217 such as USD')),
    units_per_user: optional(whole(1, AMOUNT_MAX)),
    opens_at: optional(text('must be a time such as 2026-11-24T10:00Z')),
    closes_at: optional(text('must be a time such as 2026-11-24T10:00Z')),
    force: Type.Optional(Type.Boolean({ description: 'must be true or false' })),
    by: By,
  },
  JSON_OBJECT,
);

function optional<T extends TSchema>(schema: T) {
  return Type.Optional(orNull(schema, `${schema.description ?? ''}, or null`));
}

const putSale = operatorRoute({
  method: 'put',
  path: '/operator/items/{item_id}',
  id: 'operatorPutSale',
  summary: 'Set how an item is sold',
  description:
    'Replaces price, limit and opening times, all of them or none: what the body leaves out is unset. Accepted orders keep their price.',
  parameters: [ITEM_ID],
  body: {
    schema: SaleRequest,
    example: { price_minor: 1000, currency: 'USD', units_per_user: 2, by: 'ann' },
  },
  response: {
    description: 'The item after the change.',
    schema: Item,
    example: ITEM_EXAMPLE,
  },
  problems: ['unknown-item', 'units-owned', 'unreadable-stock'],
  handle: async (operator, { params, body }) => {
    const itemId = itemIdOf(params);
    const { price_minor = null, currency = null, units_per_user = null, force = false } = body;
    if (currency !== null && !isCurrency(currency)) {
      throw invalid({ path: '/currency', message: 'must be a currency of ISO 4217 such as USD' });
    }
    const change = {
      priceMinor: price_minor,
      currency,
      unitsPerUser: units_per_user,
      opensAt: saleTime(body.opens_at, '/opens_at'),
      closesAt: saleTime(body.closes_at, '/closes_at'),
    };
    const who = { by: body.by, force };
    const result = await readFromRedis(operator.operations.changeSale(itemId, change, who));
    switch (result.kind) {
      case 'changed':
        return itemResponse(operator, itemId);
      case 'unknown-item':
        return unknownItem(itemId);
      case 'window':
        throw invalid({ path: '/closes_at', message: 'must be later than opens_at' });
      case 'units-owned': {
        const { users, most } = result;
        const detail = `${users} users own more than that, one of them ${most} units. Nothing was changed; \`force: true\` applies the limit to their further purchases.`;
        return problem('units-owned', { detail, members: { users, most } });
      }
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
  },
  JSON_OBJECT,
);

const Restocked = object({
  item_id: Id,
  operation_id: Id,
  free_before: units('free units before'),
  free: units('free units right after it'),
  new_item: Type.Boolean({ description: 'true if this put the item on sale' }),
  done_before: Type.Boolean({
    description: 'true if the operation was carried out before; nothing was done now',
  }),
});

const restock = operatorRoute({
  method: 'post',
  path: '/operator/items/{item_id}/restock',
  id: 'operatorRestock',
  summary: 'Put units on sale',
  description:
    'Adds `units`, or sets the `free` units. A repeated operation_id has no further effect. An unknown item is put on sale.',
  parameters: [ITEM_ID],
  body: { schema: RestockRequest, example: { units: 50, operation_id: 'restock-1', by: 'ann' } },
  response: {
    description: 'Done, now or before.',
    schema: Restocked,
    example: {
      item_id: '101',
      operation_id: 'restock-1',
      free_before: 3,
      free: 53,
      new_item: false,
      done_before: false,
    },
  },
  problems: ['unknown-item', 'operation-reused', 'unreadable-stock'],
  handle: async ({ operations }, { params, body }) => {
    const itemId = itemIdOf(params);
    const { units: add, free, operation_id: operationId, by } = body;
    if ((add === undefined) === (free === undefined)) {
      throw invalid({ path: '', message: 'must have either units or free' });
    }
    const asked = add !== undefined ? { add } : { free: free ?? 0 };
    const result = await readFromRedis(
      operations.restock({ itemId, operationId, units: asked, by }),
    );
    switch (result.kind) {
      case 'restocked': {
        const restocked: Static<typeof Restocked> = {
          item_id: itemId,
          operation_id: operationId,
          free_before: result.before,
          free: result.after,
          new_item: result.isNewItem,
          done_before: result.wasDoneBefore,
        };
        return json(200, restocked);
      }
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

/** What operators do with items. */
export const STOCK_ROUTES = [readItem, putSale, restock];

async function itemResponse(
  { ledger, defaultPrice }: Operator,
  itemId: ItemId,
): Promise<HttpResponse> {
  const found = await readFromRedis(ledger.item(itemId)).catch(throwUnreadable);
  if (!found) return unknownItem(itemId);
  return json(200, itemBody(itemId, found, defaultPrice), NO_STORE);
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

function saleTime(value: string | null | undefined, path: string): number | null {
  const at = readTime(value ?? null, path);
  if (at === null || (at >= 0 && at <= SALE_TIME_MAX)) return at;
  throw invalid({ path, message: 'must be a time from 1970 to 9999' });
}

/** The Lua scripts name the value that was written by hand and cannot be read. */
function throwUnreadable(error: unknown): never {
  const cause = error instanceof Error ? error.cause : undefined;
  const detail =
    cause instanceof Error && /BAD(?:STOCK|SALE) (.+?)(?: script: .*)?$/.exec(cause.message)?.[1];
  if (typeof detail !== 'string') throw error;
  throw new RequestError('unreadable stock', { problem: 'unreadable-stock', detail, cause: error });
}
