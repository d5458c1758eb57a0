import type { ItemId } from '../../orders/order';

/** One restock. Whoever sends it twice under one `operationId` gets one effect. */
export interface Restock {
  readonly itemId: ItemId;
  readonly operationId: string;
  /** Whole units: to add, at least 1; or free from now on, at least 0. At most RESTOCK_UNITS_MAX. */
  readonly units: { readonly add: number } | { readonly free: number };
  /** Who has asked for it. */
  readonly by: string;
}

/** The item's stock or sale was written by hand and cannot be read; `detail` says what it holds. */
interface Unreadable {
  readonly kind: 'unreadable';
  readonly detail: string;
}

export type RestockResult =
  | {
      readonly kind: 'restocked';
      /** Free units. */
      readonly before: number;
      readonly after: number;
      readonly isNewItem: boolean;
      /** This operation had been carried out before; nothing was done now. */
      readonly wasDoneBefore: boolean;
    }
  /** The id has asked for something else before. */
  | { readonly kind: 'operation-reused' }
  /** More free units than the ledger can count. */
  | { readonly kind: 'too-many' }
  | Unreadable;

/** What is absent stays as it is; null removes it. */
export interface SaleChange {
  readonly priceMinor?: number | null;
  readonly currency?: string | null;
  readonly unitsPerUser?: number | null;
  /** Milliseconds since the epoch, at most SALE_TIME_MAX. */
  readonly opensAt?: number | null;
  readonly closesAt?: number | null;
}

export type SaleChangeResult =
  | { readonly kind: 'changed' }
  | { readonly kind: 'unknown-item' }
  /** It would end before it starts. */
  | { readonly kind: 'window'; readonly opensAt: number; readonly closesAt: number }
  /** So many users own more than the limit, one of them `most` units. */
  | { readonly kind: 'units-owned'; readonly users: number; readonly most: number }
  | Unreadable;

/** What operators change of an item. The values have been checked at the edge. Every method may be sent again. */
export interface StockOperations {
  restock(restock: Restock): Promise<RestockResult>;
  /** `force`: also where users are above the new limit. All or nothing of the change takes effect. */
  changeSale(
    itemId: ItemId,
    change: SaleChange,
    who: { readonly by: string; readonly force?: boolean },
  ): Promise<SaleChangeResult>;
}
