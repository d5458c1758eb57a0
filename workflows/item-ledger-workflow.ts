import { condition } from '@temporalio/workflow';

/**
 * Says, outside Redis, that an item has a ledger: its memo holds the ledger's token. It does nothing and stays open, since
 * a closed workflow is forgotten after the namespace's retention; an operator may end it by cancelling it.
 */
export async function itemLedgerWorkflow(): Promise<void> {
  await condition(() => false);
}
