import type { WorkflowHandle } from '@temporalio/client';
import { historyOf, recordedHistories, writeHistory } from './history-file';

/** The steps of what happens to the money of an order after its own run, by the name of its history. */
export const AFTER_SALE_STEPS = {
  'after-sale-refunded-with-a-unit-put-back': ['refundSale', 'noteReturns', 'restockSale'],
  'after-sale-refund-refused': ['refundSale'],
  'after-sale-refund-pending': ['refundSale', 'noteReturns'],
  'after-sale-returns-read': ['noteReturns'],
  'after-sale-returns-read-twice': ['noteReturns', 'noteReturns'],
  'after-sale-late-payment-given-back': ['refundPayment'],
} as const satisfies Record<string, readonly string[]>;

/** Records the history of a run as it stands, with RECORD_HISTORIES=1 and unless there is one: see record.ts. */
export async function recordAfterSale(
  name: keyof typeof AFTER_SALE_STEPS,
  handle: Pick<WorkflowHandle, 'fetchHistory'>,
): Promise<void> {
  if (process.env['RECORD_HISTORIES'] !== '1' || recordedHistories().includes(name)) return;
  writeHistory(name, await historyOf(handle));
}
