import type { ItemId } from '../orders/order';
import type { LedgerOpening } from '../stock/ledger-opener';
import type { LedgerRegistry } from '../stock/ledger-registry';

/**
 * Registers open ledgers that Temporal does not know, because it was lost or restored from an older copy: without that, the
 * next loss of Redis would sell their units again. Returns the items that were registered. May be called again.
 */
export async function registerLedgers(
  { opening, registry }: RegisterDeps,
  items: readonly ItemId[],
): Promise<readonly ItemId[]> {
  const registered: ItemId[] = [];
  for (const itemId of items) {
    if ((await registry.find(itemId)) !== undefined) continue;
    if (await registerAgain({ opening, registry }, itemId)) registered.push(itemId);
  }
  return registered;
}

interface RegisterDeps {
  readonly opening: Pick<LedgerOpening, 'begin'>;
  readonly registry: Pick<LedgerRegistry, 'find' | 'register'>;
}

/** Registers an open ledger under the token that it has. False where it is not open. */
export async function registerAgain(
  {
    opening,
    registry,
  }: Pick<RegisterDeps, 'opening'> & {
    readonly registry: Pick<LedgerRegistry, 'register'>;
  },
  itemId: ItemId,
): Promise<boolean> {
  const { kind, token } = await opening.begin(itemId, '');
  if (kind === 'opened') await registry.register(itemId, token, { again: true });
  return kind === 'opened';
}
