import { parseItemId, type ItemId, type RequestId } from '../orders/order';

/** The free units of an item. Public: operators set and read this key with redis-cli. */
export function freeUnitsKey(itemId: ItemId): string {
  return `inventory:${itemId}`;
}

export const ordersKey = ledgerKey('orders');
export const countsKey = ledgerKey('counts');
export const buyersKey = ledgerKey('buyers');
export const leasesKey = ledgerKey('leases');
export const saleKey = ledgerKey('sale');
/** The stream of changes. */
export const eventsKey = ledgerKey('events');
/** By user, of orders that have left the ledger; only while the item has a limit for each user. */
export const archivedUnitsKey = ledgerKey('archived');
/** The stream of changes of the stock and of the sale, which the archiver empties. */
export const adjustmentsKey = ledgerKey('adjustments');

/** The restocks that were carried out. The tenth key of restock.lua and restock-sale.lua. */
export const operationsKey = ledgerKey('operations');

/** Requests that were rejected although the log may hold a record of them. The tenth key of reject.lua and reserve.lua. */
export const rejectionsKey = ledgerKey('rejections');

/** Where units are counted before they become `archivedUnitsKey`. The tenth key of count-buyers.lua. */
export const countedUnitsKey = ledgerKey('archived:counting');

/** Where the entries of a lost ledger wait until it is rebuilt, with their counts and buyers: keys 10 to 12 of stage-rebuild.lua, rebuild.lua and recount.lua. */
export function stagingKeys(itemId: ItemId): string[] {
  return [stagedOrdersKey(itemId), stagedCountsKey(itemId), stagedBuyersKey(itemId)];
}

const stagedOrdersKey = ledgerKey('rebuild:orders');
const stagedCountsKey = ledgerKey('rebuild:counts');
const stagedBuyersKey = ledgerKey('rebuild:buyers');

/** The item of a ledger's key; undefined for any other key. */
export function itemOfKey(key: string): ItemId | undefined {
  return parseItemId(/^\{inventory:(.+)\}:[a-z:]+$/.exec(key)?.[1]);
}

/** The braces put a key into the slot of the plain free-units key: both hash the same text. */
function ledgerKey(name: string) {
  return (itemId: ItemId) => `{${freeUnitsKey(itemId)}}:${name}`;
}

/** The nine keys of an item's ledger, in the order in which every script takes them. */
export function itemKeys(itemId: ItemId): [string, ...string[]] {
  return [
    freeUnitsKey(itemId),
    ordersKey(itemId),
    countsKey(itemId),
    buyersKey(itemId),
    leasesKey(itemId),
    saleKey(itemId),
    eventsKey(itemId),
    archivedUnitsKey(itemId),
    adjustmentsKey(itemId),
  ];
}

/** The claim of a request_id. It lies in a slot of its own: no script takes it together with an item's keys. */
export function claimKey(requestId: RequestId): string {
  return `idempotency:${requestId}`;
}

/** Behind the value of a claim: its order has left the ledger, and only the archive knows it. */
export const FINISHED_MARK = '|finished';

/** The item and the mark of a claim. */
export function readClaim(claim: string): {
  readonly itemId: ItemId;
  readonly isFinished: boolean;
} {
  const isFinished = claim.endsWith(FINISHED_MARK);
  const value = isFinished ? claim.slice(0, -FINISHED_MARK.length) : claim;
  return { itemId: value.slice(value.indexOf('|') + 1) as ItemId, isFinished };
}

/** The content of a claim: which request the id belongs to, and the item whose ledger has its order. */
export function claimValue(request: {
  readonly fingerprint: string;
  readonly itemId: ItemId;
}): string {
  return `${request.fingerprint}|${request.itemId}`;
}
