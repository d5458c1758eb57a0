import type { RedisConnection } from '../../../platform/redis';
import { itemKeys, operationsKey } from '../keys';
import { defineLedgerScripts } from '../scripts';
import { parseRestockResult, parseSaleChangeResult } from './operation-results';
import type { StockOperations } from './stock-operations';

/** As long as an accepted order's claim: nobody repeats a restock after a week and means the old one. */
const OPERATION_RETENTION_MS = 7 * 24 * 3_600_000;

/** What operators change, on Redis. Throws when Redis gives no definite answer. */
export function createStockOperations(redis: RedisConnection): StockOperations {
  defineLedgerScripts(redis);
  return {
    async restock({ itemId, operationId, units, by }) {
      const asked = 'add' in units ? ['add', units.add] : ['set', units.free];
      const reply = redis.ledgerRestock(
        ...[...itemKeys(itemId), operationsKey(itemId)],
        ...[operationId, ...asked, by, OPERATION_RETENTION_MS],
      );
      return readable(reply.then(parseRestockResult));
    },

    async changeSale(itemId, change, { by, force = false }) {
      const { priceMinor, currency, unitsPerUser, opensAt, closesAt } = change;
      const fields = [priceMinor, currency, unitsPerUser, opensAt, closesAt].map(saleArgument);
      const reply = redis.ledgerChangeSale(...itemKeys(itemId), ...fields, force ? 1 : 0, by);
      return readable(reply.then(parseSaleChangeResult));
    },
  };
}

/** As the script takes it: empty leaves the field as it is, a dash removes it. */
function saleArgument(value: string | number | null | undefined): string | number {
  return value === undefined ? '' : (value ?? '-');
}

/** `BADSTOCK` and `BADSALE` are the scripts' own, with a sentence; the server adds where in the script it was. */
const UNREADABLE = /^(?:BADSTOCK|BADSALE) (.+?)(?: script: .*)?$/;

/** The answer, or that the ledger holds what somebody has mistyped. Throws everything else. */
function readable<T>(answer: Promise<T>) {
  return answer.catch((error: unknown) => {
    const detail = error instanceof Error ? UNREADABLE.exec(error.message)?.[1] : undefined;
    if (detail !== undefined) return { kind: 'unreadable' as const, detail };
    throw error;
  });
}
