import type { BuyBody } from '../../client/gateway';
import type { ProcessName } from '../../platform/failpoints';

/** What an order goes through, besides the failpoint. It stands in the request_id, so that the provider sees it, too. */
export type Trait =
  | 'plain'
  /** The provider declines the charge. */
  | 'declined'
  /** The provider charges, and its response is lost. */
  | 'doubtful'
  /** While the order is being charged, its reservation is released, as by a later run. */
  | 'lost'
  /** A workflow with the same id exists already, for another order. */
  | 'foreign'
  /** An earlier order had the same id, and nothing is left of it but its closed workflow. */
  | 'reused'
  /**
   * A gateway has died after it claimed the id, and its hold has expired. Its record appears in the topic after the buyer
   * has been told that the item is sold out.
   */
  | 'abandoned'
  /** Its buyer cancels it once its workflow has reserved it. */
  | 'cancelled'
  /** Its buyer cancels it as soon as it is accepted. */
  | 'cancelled-at-once'
  | CheckoutTrait;

/** What an order of a sale in checkout goes through. */
const CHECKOUT_TRAITS = [
  /** Its buyer pays. */
  'pays',
  /** Its buyer opens the page and never comes back. */
  'walks-away',
  /** Its buyer pays when its reservation has just been released, as by a later run. */
  'late-money',
  /** It is paid, and an operator gives back a part of the money and puts a unit back. */
  'given-back',
  /** It is paid, and a part of the money is given back in the provider's own dashboard. */
  'dashboard',
] as const;
type CheckoutTrait = (typeof CHECKOUT_TRAITS)[number];

export const isOfCheckout = (trait: Trait) => CHECKOUT_TRAITS.some((one) => one === trait);

/** What is given back of an order, in minor units; and the units that are put back with it by an operator. */
export const GIVEN_BACK = { amountMinor: 400, restock: 1 } as const;

/** Enough to release an order while it is being charged. */
const SLOW_CHARGE_MS = 1_500;
/** A run reacts to a cancellation only once its charge at once has no answer, after 3 s (`activities/sell-at-once.ts`). */
const NO_CHARGE_AT_ONCE_MS = 4_000;

/** What the payment simulator does to the orders of each trait. */
export const PROVIDER_RULES = [
  { kind: 'decline', keyPattern: '-declined:' },
  { kind: 'drop-after', keyPattern: '-doubtful:' },
  { kind: 'slow', delayMs: SLOW_CHARGE_MS, keyPattern: '-lost:' },
  { kind: 'slow', delayMs: NO_CHARGE_AT_ONCE_MS, keyPattern: '-cancelled:' },
] as const;

export function planOrder(itemId: string, index: number, trait: Trait, amount = 1): BuyBody {
  return {
    user_id: `${itemId}-user-${index}`,
    item_id: itemId,
    amount,
    request_id: `${itemId}-${index}-${trait}`,
  };
}

export function hasTrait({ request_id }: Pick<BuyBody, 'request_id'>, trait: Trait): boolean {
  return request_id.endsWith(`-${trait}`);
}

export const BURST_ORDERS = 300;

/** For a burst of 300: 250. Its orders ask for nearly twice as many. */
export function burstUnits(orders: number): number {
  return Math.floor((orders * 5) / 6);
}

/**
 * A burst of orders for one and two units each. A tenth is declined; every other trait has a few orders. `foreign` and
 * `reused` ones come only where ingest is the victim, since they are about its starts, or the archiver, for the variety;
 * `abandoned` ones only where the gateway is, which leaves them behind.
 */
export function planBurst(
  itemId: string,
  { orders, victim }: { readonly orders: number; readonly victim: ProcessName },
): BuyBody[] {
  return Array.from({ length: orders }, (_, index) =>
    planOrder(itemId, index, traitAt(index, victim), 1 + (index % 2)),
  );
}

/** The same for a sale in checkout. */
export function planCheckoutBurst(itemId: string, orders: number): BuyBody[] {
  return Array.from({ length: orders }, (_, index) =>
    planOrder(itemId, index, CHECKOUT_BURST[index % 20] ?? 'pays', 1 + (index % 2)),
  );
}

/** By the last digits of their number. */
const CHECKOUT_BURST: Readonly<Partial<Record<number, Trait>>> = {
  1: 'walks-away',
  4: 'given-back',
  5: 'cancelled',
  7: 'late-money',
  8: 'walks-away',
  10: 'dashboard',
  13: 'given-back',
  16: 'late-money',
  18: 'cancelled-at-once',
};

function traitAt(index: number, victim: ProcessName): Trait {
  if (index % 10 === 3) return 'declined';
  if (index % 20 === 7) return 'doubtful';
  if (index % 20 === 12) return 'lost';
  const isRead = victim === 'ingest' || victim === 'archiver';
  if (isRead && index % 20 === 16) return 'foreign';
  if (isRead && index % 20 === 18) return 'reused';
  if (victim === 'api' && index % 20 >= 16) return 'abandoned';
  if (index % 20 === 1) return 'cancelled';
  if (index % 20 === 5) return 'cancelled-at-once';
  return 'plain';
}
