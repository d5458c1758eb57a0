import { randomUUID } from 'node:crypto';
import type { ItemId } from '../../orders/order';
import type { LedgerOpening } from '../upkeep/ledger-opening';
import type { LedgerRegistry } from './ledger-registry';

/**
 * Opens an item's ledger, once in its life: it leaves a token in Redis, registers it, and opens the ledger that holds the
 * registered one. Whoever dies in between, and however many do it at once, the first registered token counts, and a
 * ledger without it has been lost. Throws when Redis or Temporal gives no answer; nothing is decided then.
 */
export async function openLedger(
  opening: LedgerOpening,
  registry: LedgerRegistry,
  itemId: ItemId,
): Promise<'opened' | 'lost'> {
  const begun = await opening.begin(itemId, randomUUID());
  if (begun.kind === 'opened') return 'opened';
  return opening.finish(itemId, await registry.register(itemId, begun.token));
}
