export { orderWorkflow } from './order-workflow';
export { refundWorkflow, returnsWorkflow } from './refund-workflow';
export { itemLedgerWorkflow, stockAuditWorkflow } from './stock-workflows';
export { latePaymentWorkflow, paymentEventsWorkflow } from './payment-workflows';
