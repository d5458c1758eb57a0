import type { ProcessName } from '../../../platform/failpoints';

/** What an order is to go through, besides the failpoint. It stands in the request_id, so that the provider sees it, too. */
export type Trait =
  | 'plain'
  /** The provider says no. */
  | 'declined'
  /** The provider takes the money and its answer is lost. */
  | 'doubtful'
  /** While the order is being charged, its reservation is released, as by a later run. */
  | 'lost'
  /** A workflow of the same id is there already, for another order. */
  | 'foreign'
  /**
   * A gateway has died after it claimed the id, and its hold was given away. Its record turns up in the log when the buyer
   * has been told that nothing is left.
   */
  | 'abandoned'
  /** Its buyer cancels it once its workflow is at work. */
  | 'cancelled'
  /** Its buyer cancels it as soon as it is accepted. */
  | 'cancelled-at-once';

/** The body of a purchase. */
export interface Wish {
  readonly user_id: string;
  readonly item_id: string;
  readonly amount: number;
  readonly request_id: string;
}

/** Enough to release or to cancel an order while it is being charged. */
const SLOW_CHARGE_MS = 1_500;

/** What the payment simulator does to the orders of each trait. */
export const PROVIDER_RULES = [
  { kind: 'decline', keyPattern: '-declined:' },
  { kind: 'drop-after', keyPattern: '-doubtful:' },
  { kind: 'slow', delayMs: SLOW_CHARGE_MS, keyPattern: '-lost:' },
  { kind: 'slow', delayMs: SLOW_CHARGE_MS, keyPattern: '-cancelled:' },
] as const;

export function wish(itemId: string, index: number, trait: Trait, amount = 1): Wish {
  const request_id = `${itemId}-${String(index)}-${trait}`;
  return { user_id: `${itemId}-user-${String(index)}`, item_id: itemId, amount, request_id };
}

export function hasTrait({ request_id }: Wish, trait: Trait): boolean {
  return request_id.endsWith(`-${trait}`);
}

export const BURST_ORDERS = 300;

/** For a burst of 300: 250. Its orders want nearly twice as many. */
export function burstUnits(orders: number): number {
  return Math.floor((orders * 5) / 6);
}

/**
 * A burst of orders for one and two units each. A tenth is declined; every other fate has a few. `foreign` ones come
 * only where ingest is the victim, since what starts them passes the worker's failpoints; `abandoned` ones where it is the
 * gateway that left them.
 */
export function burst(
  itemId: string,
  { orders, victim }: { readonly orders: number; readonly victim: ProcessName },
): Wish[] {
  return Array.from({ length: orders }, (_, index) =>
    wish(itemId, index, traitAt(index, victim), 1 + (index % 2)),
  );
}

function traitAt(index: number, victim: ProcessName): Trait {
  if (index % 10 === 3) return 'declined';
  if (index % 20 === 7) return 'doubtful';
  if (index % 20 === 12) return 'lost';
  if (victim === 'ingest' && index % 20 === 16) return 'foreign';
  if (victim === 'api' && index % 20 >= 16) return 'abandoned';
  if (index % 20 === 1) return 'cancelled';
  if (index % 20 === 5) return 'cancelled-at-once';
  return 'plain';
}
