import { sql } from 'kysely';
import type { ArchiveDatabase } from './database';
import { newestStock } from './stock-changes';
import type { ItemId } from '../orders/order';
import { parseAdjustment, readAdjustments } from '../stock/adjustments';
import type { SaleFields } from '../stock/stock-operations';
import type { RedisConnection } from '../../platform/redis';

/** How many units an item was given in all, and how it was sold; without a supply, why that is not known. */
export interface KnownStock {
  readonly supply?: number;
  readonly sale?: SaleFields;
  readonly problem?: string;
}

/** More changes than that wait for the archiver only where there is none. */
const WAITING_MAX = 10_000;

/**
 * What the archive has of an item's stock, and what is left of it in Redis. Restocks by operators are in their record of
 * actions, too: one of them that is not among the changes was lost with Redis, and with it what it has changed. So are units
 * that an operator was told of as put back with a refund.
 */
export async function knownStock(
  { archive, redis }: { readonly archive: ArchiveDatabase; readonly redis: RedisConnection },
  itemId: ItemId,
): Promise<KnownStock> {
  const waiting = (await readAdjustments(redis, [itemId], WAITING_MAX)).get(itemId) ?? [];
  if (waiting instanceof Error) throw waiting;
  const left = waiting.map(parseAdjustment).flatMap((one) => ('problem' in one ? [] : [one]));
  const newest = left.findLast(({ isOpen }) => isOpen);
  const found = newest ?? (await newestStock(archive, [itemId])).get(itemId);
  if (!found || newest?.kind === 'retired')
    return { problem: 'the archive has no change of its stock' };
  const operations = left.flatMap(({ operation }) => operation ?? []);
  const { rows } = await sql<{ operation: string | null }>`
    select a.operation
    from (
      select at, request->>'operation_id' as operation from operator_actions
      where item_id = ${itemId} and action = 'stock.restock' and outcome is distinct from 'refused'
      union all
      select at, after->'restock'->>'operation' from operator_actions
      where action = 'order.refund' and after->'restock'->>'item_id' = ${itemId}
    ) a
    where a.at > (select min(at) from stock_changes where item_id = ${itemId})
      and not exists (
        select from stock_changes c where c.item_id = ${itemId} and c.operation = a.operation
      )
      and not (a.operation = any(${operations}::text[]))
    limit 1
  `.execute(archive);
  const [lost] = rows;
  const sale = found.sale && { sale: found.sale };
  if (lost) {
    return {
      ...sale,
      problem: `the restock ${lost.operation ?? ''} is not among the changes that it has`,
    };
  }
  return { supply: found.supply, ...sale };
}
