import { integer, list, unexpected } from '../results';
import type { RestockResult, SaleChangeResult } from './stock-operations';

export function parseRestockResult(reply: unknown): RestockResult {
  const [kind, before, after, isNewItem, wasDoneBefore] = list(reply);
  switch (kind) {
    case 'restocked':
      return {
        ...{ kind, before: integer(before), after: integer(after) },
        ...{ isNewItem: integer(isNewItem) === 1, wasDoneBefore: integer(wasDoneBefore) === 1 },
      };
    case 'operation-reused':
    case 'too-many':
      return { kind };
    default:
      throw unexpected(reply);
  }
}

export function parseSaleChangeResult(reply: unknown): SaleChangeResult {
  const [kind, first, second] = list(reply);
  switch (kind) {
    case 'changed':
    case 'unknown-item':
      return { kind };
    case 'window':
      return { kind, opensAt: integer(first), closesAt: integer(second) };
    case 'units-owned':
      return { kind, users: integer(first), most: integer(second) };
    default:
      throw unexpected(reply);
  }
}
