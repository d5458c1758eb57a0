import type { ItemId, RequestId } from '../orders/order';

/** The seven keys of an item's ledger, in the order in which every script takes them. */
export function itemKeys(itemId: ItemId): [string, ...string[]] {
  const free = freeUnitsKey(itemId);
  // The braces put these keys into the slot of the plain free-units key: both hash the same text.
  const key = (name: string) => `{${free}}:${name}`;
  return [
    free,
    ordersKey(itemId),
    countsKey(itemId),
    key('buyers'),
    key('leases'),
    saleKey(itemId),
    eventsKey(itemId),
  ];
}

/** Free units: public, operators set and read it. */
export function freeUnitsKey(itemId: ItemId): string {
  return `inventory:${itemId}`;
}

export function ordersKey(itemId: ItemId): string {
  return `{${freeUnitsKey(itemId)}}:orders`;
}

export function countsKey(itemId: ItemId): string {
  return `{${freeUnitsKey(itemId)}}:counts`;
}

export function saleKey(itemId: ItemId): string {
  return `{${freeUnitsKey(itemId)}}:sale`;
}

/** The stream of changes. */
export function eventsKey(itemId: ItemId): string {
  return `{${freeUnitsKey(itemId)}}:events`;
}

/** The restocks that were carried out. Only restock.lua takes it, as its eighth key. */
export function operationsKey(itemId: ItemId): string {
  return `{${freeUnitsKey(itemId)}}:operations`;
}

/** Requests that were rejected although a record of theirs may be in the log. reject.lua and reserve.lua take it, as an eighth key. */
export function rejectionsKey(itemId: ItemId): string {
  return `{${freeUnitsKey(itemId)}}:rejections`;
}

/** The claim of a request_id. It lives in a slot of its own: no script touches it together with an item. */
export function claimKey(requestId: RequestId): string {
  return `idempotency:${requestId}`;
}

/** What a claim says: which request the id belongs to, and where its order is to be found. */
export function claimValue(request: {
  readonly fingerprint: string;
  readonly itemId: ItemId;
}): string {
  return `${request.fingerprint}|${request.itemId}`;
}
