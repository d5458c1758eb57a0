export { orderWorkflow } from './order-workflow';
export { itemLedgerWorkflow, stockAuditWorkflow } from './stock-workflows';
