export { itemLedgerWorkflow } from './item-ledger-workflow';
export { orderWorkflow } from './order-workflow';
export { stockAuditWorkflow } from './stock-audit-workflow';
