import type { ConfirmResult, ReserveResult } from '../orders/ledger';
import type { ForeignCharge } from './own-charge';
import type { ChargeResult } from './payment-provider';

/** How far a sale has come without a delay. What is absent was not asked for. Histories record it. */
export interface SaleAtOnce {
  readonly reservation: ReserveResult;
  readonly payment?: ChargeResult | ForeignCharge | NoAnswer;
  readonly sale?: ConfirmResult | NoAnswer;
  /** The order is sold, and Kafka has its event. */
  readonly published?: true;
}

/** The step may have taken effect. */
export interface NoAnswer {
  readonly kind: 'no-answer';
  readonly error: string;
}
