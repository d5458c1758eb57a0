import type { ItemId } from '../../orders/order';
import type { RedisConnection } from '../../../platform/redis';
import { itemKeys } from '../keys';
import { defineLedgerScripts } from '../scripts';

/** The ledger's side of its opening. Both steps throw when Redis gives no answer, and may be taken again. */
export interface LedgerOpening {
  /** Leaves `freshToken` in a ledger that is not open, unless a token stands there; answers the one that stands. */
  begin(
    itemId: ItemId,
    freshToken: string,
  ): Promise<{ readonly kind: 'opened' | 'opening'; readonly token: string }>;
  /** The registry holds `registered`: opens the ledger that left it there. Any other ledger is lost. */
  finish(itemId: ItemId, registered: string): Promise<'opened' | 'lost'>;
}

export function createLedgerOpening(redis: RedisConnection): LedgerOpening {
  defineLedgerScripts(redis);
  const step = async (itemId: ItemId, ...args: readonly [string, string]) => {
    const [kind, token] = (await redis.ledgerOpen(...itemKeys(itemId), ...args)) as string[];
    return { kind, token };
  };
  return {
    begin: async (itemId, freshToken) => {
      const { kind, token } = await step(itemId, 'begin', freshToken);
      return { kind: kind === 'opened' ? kind : 'opening', token: token ?? '' };
    },
    finish: async (itemId, registered) => {
      const { kind } = await step(itemId, 'finish', registered);
      return kind === 'opened' ? kind : 'lost';
    },
  };
}

/** A script was asked for an order of an item whose ledger is not open: never opened, or lost. */
export class LedgerNotOpenError extends Error {
  override readonly name = 'LedgerNotOpenError';

  constructor(itemId: ItemId, options?: ErrorOptions) {
    super(`NOLEDGER the ledger of item ${itemId} is not open`, options);
  }
}

/** Whether a call has failed for want of an open ledger. The scripts say so by the first word of their error. */
export function isLedgerNotOpen(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOLEDGER ');
}
