export { createAuditActivities, type AuditActivities } from './audit-activities';
export { createStockActivities, type StockActivities } from './stock-activities';
export { createPaymentActivities, type PaymentActivities } from './payment-activities';
export { createDeadLetterActivities, type DeadLetterActivities } from './dead-letter-activities';
