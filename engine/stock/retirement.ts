import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { countedUnitsKey, itemKeys, operationsKey, rejectionsKey, stagingKeys } from './keys';
import type { ByHand } from './ledger-counts';
import { integer, list, unexpected } from './results';
import { defineLedgerScripts } from './scripts';
import { orUnreadable, type Unreadable } from './stock-operations';

/** What has to happen before an item is retired. */
export type RetirementStep =
  | { readonly kind: 'unknown-item' }
  /** Its sale has no end, or not yet. */
  | { readonly kind: 'on-sale' }
  /** Units that are held, queued or reserved. */
  | { readonly kind: 'under-way'; readonly units: number }
  /** Orders that have to leave the ledger. */
  | { readonly kind: 'entries'; readonly orders: number }
  /** Changes of stock and sale that are not archived. */
  | { readonly kind: 'changes'; readonly number: number }
  /** The ledger may be taken out of the registry. */
  | { readonly kind: 'ready' }
  /** Redis has nothing of it any more. */
  | { readonly kind: 'retired' }
  | Unreadable;

export type TakeRetirementStep = ReturnType<typeof createRetirement>;

/**
 * Takes a step towards the retirement of an item. `isRemoved`: it is not registered any more. May be called again; throws when
 * Redis gives no definite answer.
 */
export function createRetirement(redis: RedisConnection) {
  defineLedgerScripts(redis, ['ledgerRetire']);
  return (
    itemId: ItemId,
    { by, why, isRemoved = false }: ByHand & { readonly isRemoved?: boolean },
  ): Promise<RetirementStep> => {
    const more = [operationsKey, rejectionsKey, countedUnitsKey].map((keyOf) => keyOf(itemId));
    const keys = [...itemKeys(itemId), ...more, ...stagingKeys(itemId)];
    const step = redis.ledgerRetire(...keys, by, why, isRemoved ? 1 : 0);
    return orUnreadable(step.then(parseRetirementStep));
  };
}

function parseRetirementStep(reply: unknown): RetirementStep {
  const [kind, number] = list(reply);
  switch (kind) {
    case 'under-way':
      return { kind, units: integer(number) };
    case 'entries':
      return { kind, orders: integer(number) };
    case 'changes':
      return { kind, number: integer(number) };
    case 'unknown-item':
    case 'on-sale':
    case 'ready':
    case 'retired':
      return { kind };
    default:
      throw unexpected(reply);
  }
}
