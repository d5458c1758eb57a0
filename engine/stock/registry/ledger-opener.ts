import type { ItemId } from '../../orders/order';
import type { LedgerOpening } from '../upkeep/ledger-opening';
import type { LedgerRegistry } from './ledger-registry';
import { openLedger } from './open-ledger';

/** How an item stands whose ledger is not open in Redis. `unknown`: nobody ever sold it. */
export type LedgerStanding = 'opened' | 'lost' | 'unknown';

/** Opens ledgers for many who ask at once. */
export interface LedgerOpener {
  /**
   * `known`: the item has a stock key, so its ledger is opened if it is new. Throws when that cannot be told now:
   * Redis or Temporal gives no answer, or too many different items are asked for at once.
   */
  resolve(item: { readonly itemId: ItemId; readonly known: boolean }): Promise<LedgerStanding>;
}

export interface LedgerOpenerOptions {
  readonly opening: LedgerOpening;
  readonly registry: LedgerRegistry;
  readonly now?: () => number;
}

/**
 * A second: a crowd for an item that does not exist, or whose ledger is lost, costs one look a second, and a rebuilt
 * ledger is not asked for here at all.
 */
const NO_IS_GOOD_MS = 1_000;
/** Remembered at once: more made-up ids than that push each other out, and cost a look each. */
const REMEMBERED_MAX = 1_000;
/** Looks under way: enough for the first buyers of many new items, too few to storm Temporal with made-up ones. */
const LOOKS_MAX = 32;

/** One look at a time per item, shared by all who ask; a no is remembered for a second. */
export function createLedgerOpener(options: LedgerOpenerOptions): LedgerOpener {
  const { opening, registry, now = Date.now } = options;
  const looking = new Map<string, Promise<LedgerStanding>>();
  const noes = new Map<string, { readonly standing: LedgerStanding; readonly until: number }>();

  const remember = (key: string, standing: LedgerStanding) => {
    const [oldest] = noes.keys();
    if (noes.size >= REMEMBERED_MAX && oldest !== undefined) noes.delete(oldest);
    noes.set(key, { standing, until: now() + NO_IS_GOOD_MS });
  };
  const look = async (itemId: ItemId, known: boolean): Promise<LedgerStanding> => {
    if (known) return openLedger(opening, registry, itemId);
    return (await registry.find(itemId)) === undefined ? 'unknown' : 'lost';
  };

  return {
    resolve: ({ itemId, known }) => {
      const key = `${itemId} ${String(known)}`;
      const no = noes.get(key);
      if (no && no.until > now()) return Promise.resolve(no.standing);
      noes.delete(key);
      const running = looking.get(key);
      if (running) return running;
      if (looking.size >= LOOKS_MAX) {
        return Promise.reject(new Error(`${LOOKS_MAX} ledgers are being looked for already`));
      }
      const started = look(itemId, known)
        .then((standing) => {
          if (standing !== 'opened') remember(key, standing);
          return standing;
        })
        .finally(() => looking.delete(key));
      looking.set(key, started);
      return started;
    },
  };
}
