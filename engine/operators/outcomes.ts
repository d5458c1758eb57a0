import { replayJson, type ReplayReport } from '../dead-letters/replay';
import type { RestockResult, SaleChangeResult } from '../stock/stock-operations';
import type { Outcome } from './action-log';

/** What the record says of a restock. */
export function restockOutcome(result: RestockResult): Outcome {
  if (result.kind !== 'restocked') return refusal(result);
  const { before: free, after, supply, isNewItem, wasDoneBefore } = result;
  const supplyBefore = supply === undefined ? undefined : supply - (after - free);
  const detail = wasDoneBefore
    ? 'the operation was carried out before: nothing was done'
    : undefined;
  return {
    outcome: 'done',
    detail,
    before: isNewItem ? null : { free, supply: supplyBefore },
    after: { free: after, supply },
  };
}

/** What the record says of a change of a sale. */
export function saleOutcome(result: SaleChangeResult): Outcome {
  if (result.kind !== 'changed') return refusal(result);
  return { outcome: 'done', before: result.before, after: result.after };
}

/** What the record says of a replay. What was known of each order before is in its dead letter. */
export function replayOutcome(report: ReplayReport): Outcome {
  return { outcome: 'done', after: replayJson(report) };
}

function refusal({ kind, ...rest }: { readonly kind: string }): Outcome {
  return { outcome: 'refused', detail: kind, before: rest };
}
