import { randomUUID } from 'node:crypto';
import type {
  Restock,
  RestockResult,
  StockOperations,
} from '../../../engine/stock/operations/stock-operations';
import { paint, plain, printJson, type ExitCode, type Terminal } from '../../output/terminal';
import { itemIdGiven } from '../../arguments/item-id';
import { UserError, describeError } from '../../../platform/user-error';

export interface StockOperationsDeps {
  readonly terminal: Terminal;
  /** Who is at the terminal. */
  readonly by: string;
  /** Opens the ledger, hands it over and closes it again. Throws a UserError when Redis does not answer. */
  readonly withStock: <T>(use: (stock: StockOperations) => Promise<T>) => Promise<T>;
}

export interface StockRestockOptions {
  readonly item: string;
  readonly units: Restock['units'];
  /** Absent: a fresh one. */
  readonly operationId?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `flash-sale stock add` and `stock set`: more units of an item, or so many that are free; an unknown item is on sale from
 * then on. Throws a UserError when the ledger refuses, and a UserError that says how to ask again when Redis does not answer.
 */
export async function stockRestock(
  { terminal, by, withStock }: StockOperationsDeps,
  { item, units, operationId = randomUUID(), json }: StockRestockOptions,
): Promise<ExitCode> {
  const itemId = itemIdGiven(item);
  const answer = await withStock((stock) =>
    stock.restock({ itemId, operationId, units, by }).catch((cause: unknown) => {
      // It may have happened: only the same operation may be sent again.
      throw new UserError(
        `Redis gave no answer (${describeError(cause)}), so the units may be there or not. Run the same again with --operation-id ${operationId}: it never counts twice.`,
        { cause },
      );
    }),
  );
  const done = restocked(answer, itemId, operationId);
  if (json) {
    const { before, after, isNewItem, wasDoneBefore } = done;
    printJson(terminal, {
      ...{ item_id: itemId, operation_id: operationId, free_before: before, free: after },
      ...{ new_item: isNewItem, done_before: wasDoneBefore },
    });
    return 0;
  }
  const change = `${itemId}: ${done.before} → ${done.after} free`;
  const note = done.wasDoneBefore
    ? ' (this operation had been done before: nothing was changed now)'
    : done.isNewItem
      ? ' (a new item, on sale from now on)'
      : '';
  terminal.out(`${paint(terminal, 'green', plain(change))}${note}\n`);
  return 0;
}

function restocked(answer: RestockResult, itemId: string, operationId: string) {
  switch (answer.kind) {
    case 'restocked':
      return answer;
    case 'operation-reused':
      throw new UserError(
        `The operation ${operationId} has asked for something else before. Nothing was changed.`,
        { exitCode: 1 },
      );
    case 'too-many':
      throw new UserError(`${itemId} would have too many units. Nothing was changed.`, {
        exitCode: 1,
      });
    case 'unreadable':
      throw new UserError(
        `${answer.detail}. Nothing was changed; "flash-sale stock set ${itemId} <units>" mends it.`,
        { exitCode: 1 },
      );
  }
}
