import { randomUUID } from 'node:crypto';
import type { ArchivedResult } from '../orders/ledger';
import type { ItemId, RequestId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { itemKeys } from './keys';
import type { LedgerRegistration, LedgerRegistry } from './ledger-registry';
import { defineLedgerScripts } from './scripts';
import { isLedgerNotOpen, type AskedArchive, type StockLedger } from './stock-ledger';

/** The state of an item whose ledger is not open in Redis. `unknown`: the item was never on sale, or is retired. */
export type LedgerStanding = 'opened' | 'lost' | 'unknown';

/**
 * For one second a negative result is reused: a crowd that wants an unknown item, or one whose ledger is lost, costs one
 * look-up a second.
 */
const NEGATIVE_RESULT_MS = 1_000;
/** Negative results kept at once. With more made-up ids than that, each request costs a look-up. */
const NEGATIVE_RESULTS_MAX = 1_000;
/** Look-ups under way: enough for the first buyers of many new items, too few to flood Temporal with made-up ones. */
const LOOKUPS_MAX = 32;

export type LedgerOpener = ReturnType<typeof createLedgerOpener>;

/** Opens ledgers for many callers at once, with one look-up at a time for each item. */
export function createLedgerOpener(
  opening: LedgerOpening,
  registry: Pick<LedgerRegistry, 'find' | 'register'>,
  now: () => number = Date.now,
) {
  const lookups = new Map<string, Promise<LedgerStanding>>();
  const negatives = new Map<
    string,
    { readonly standing: LedgerStanding; readonly until: number }
  >();

  const lookUp = async (itemId: ItemId, known: boolean): Promise<LedgerStanding> => {
    if (known) return openLedger(opening, registry, itemId);
    return (await registry.find(itemId)) === undefined ? 'unknown' : 'lost';
  };
  const remember = (key: string, standing: LedgerStanding) => {
    const [oldest] = negatives.keys();
    if (negatives.size >= NEGATIVE_RESULTS_MAX && oldest !== undefined) negatives.delete(oldest);
    negatives.set(key, { standing, until: now() + NEGATIVE_RESULT_MS });
  };

  return {
    /**
     * `known`: the item has a stock key, so its ledger is opened if it is new. Throws while Redis or Temporal gives no
     * answer, and when too many different items are looked up at once.
     */
    resolve({ itemId, known }: { itemId: ItemId; known: boolean }): Promise<LedgerStanding> {
      const key = `${itemId} ${String(known)}`;
      const negative = negatives.get(key);
      if (negative && negative.until > now()) return Promise.resolve(negative.standing);
      negatives.delete(key);
      const running = lookups.get(key);
      if (running) return running;
      if (lookups.size >= LOOKUPS_MAX) {
        return Promise.reject(new Error(`${LOOKUPS_MAX} ledgers are being looked up already`));
      }
      const started = lookUp(itemId, known)
        .then((standing) => {
          if (standing !== 'opened') remember(key, standing);
          return standing;
        })
        .finally(() => lookups.delete(key));
      lookups.set(key, started);
      return started;
    },
  };
}

/**
 * Opens an item's ledger, once in its life: leaves a token in Redis, registers it, and opens the ledger that has the
 * registered token. After a crash in between, and with many callers at once, the first registered token counts; a ledger
 * without it is lost. Throws when Redis or Temporal gives no answer; nothing is decided then.
 */
export async function openLedger(
  opening: LedgerOpening,
  registry: Pick<LedgerRegistry, 'register'>,
  itemId: ItemId,
): Promise<'opened' | 'lost'> {
  const begun = await opening.begin(itemId, randomUUID());
  if (begun.kind === 'opened') return 'opened';
  return opening.finish(itemId, await registry.register(itemId, begun.token));
}

export type LedgerOpening = ReturnType<typeof createLedgerOpening>;

/** The two steps of an opening in Redis. Both throw when Redis gives no answer, and may be taken again. */
export function createLedgerOpening(redis: RedisConnection) {
  defineLedgerScripts(redis);
  const step = async (itemId: ItemId, ...args: readonly (string | number)[]) => {
    const [kind, token = ''] = (await redis.ledgerOpen(...itemKeys(itemId), ...args)) as string[];
    return { kind, token };
  };
  return {
    /** Leaves `freshToken` in a ledger that is not open, unless it has a token; returns the token that is there. */
    async begin(
      itemId: ItemId,
      freshToken: string,
    ): Promise<{ readonly kind: 'opened' | 'opening'; readonly token: string }> {
      const { kind, token } = await step(itemId, 'begin', freshToken);
      return { kind: kind === 'opened' ? 'opened' : 'opening', token };
    },

    /** Opens the ledger that has the token of the registry. Any other ledger is lost. */
    async finish(
      itemId: ItemId,
      { token, isReopened = false }: Pick<LedgerRegistration, 'token' | 'isReopened'>,
    ): Promise<'opened' | 'lost'> {
      const { kind } = await step(itemId, 'finish', token, isReopened ? 1 : 0);
      return kind === 'opened' ? 'opened' : 'lost';
    },
  };
}

/**
 * A ledger whose `reserve` opens the ledger of a new item: not every order comes through the gateway. The orders of a retired
 * item are `archived`. Where the ledger is lost it throws, as all its other methods do, so that the order waits for a rebuild.
 */
export function createOpeningLedger(
  ledger: StockLedger,
  opener: LedgerOpener,
  registry: Pick<LedgerRegistry, 'isRetired'>,
) {
  /** Takes a step. Where there is no ledger, its order is `archived`, or `unopened` goes on. */
  const take = async <Result, Archived>(
    step: () => Promise<Result>,
    { itemId, unarchived = false }: AskedArchive & { readonly itemId: ItemId },
    archived: Archived,
    unopened = (error: unknown): Promise<Result> => {
      throw error;
    },
  ): Promise<Result | Archived> => {
    try {
      return await step();
    } catch (error) {
      if (!isLedgerNotOpen(error)) throw error;
      // An item with a stock key is on sale again.
      const isOnSale = (await ledger.item(itemId)) !== undefined;
      if (!isOnSale && !unarchived && (await registry.isRetired(itemId))) return archived;
      return unopened(error);
    }
  };
  return {
    ...ledger,

    reserve(...step: Parameters<StockLedger['reserve']>) {
      const [{ itemId }, , , asked] = step;
      const again = async (cause: unknown) => {
        const standing = await opener.resolve({ itemId, known: true });
        if (standing === 'opened') return ledger.reserve(...step);
        throw new Error(`The ledger of item ${itemId} is lost: its orders wait for a rebuild`, {
          cause,
        });
      };
      return take(() => ledger.reserve(...step), { itemId, ...asked }, ARCHIVED, again);
    },

    confirm(...step: Parameters<StockLedger['confirm']>) {
      const [{ itemId }, asked] = step;
      return take(() => ledger.confirm(...step), { itemId, ...asked }, ARCHIVED);
    },

    release(...step: Parameters<StockLedger['release']>) {
      const [{ order }, asked] = step;
      const { itemId } = order;
      return take(() => ledger.release(...step), { itemId, ...asked }, ARCHIVED);
    },

    isRefundable(...step: Parameters<StockLedger['isRefundable']>) {
      const [{ itemId }, asked] = step;
      return take(() => ledger.isRefundable(...step), { itemId, ...asked }, 'archived' as const);
    },

    /** A retired item has no orders here. */
    findOrder(requestId: RequestId, itemId: ItemId) {
      return take(() => ledger.findOrder(requestId, itemId), { itemId }, undefined);
    },
  };
}

const ARCHIVED: ArchivedResult = { kind: 'archived' };
