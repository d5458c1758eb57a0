import { inLedger } from '../engine/orders/ledger';
import type { ItemId } from '../engine/orders/order';
import type { NoAnswer, SaleAtOnce } from '../engine/payments/sale-at-once';
import { within } from '../platform/until';
import type { OrderActivities } from './order-activities';

/** A hiccup of Redis. */
const LEDGER_MS_MAX = 1_500;
/** More than most card networks take, and much less than a workflow task may take. */
const CHARGE_MS_MAX = 3_000;
/** A hiccup of Kafka. */
const EVENT_MS_MAX = 1_000;

/**
 * The steps of a sale that meets no obstacle, as one activity: each activity of its own costs an activation of the
 * workflow, a trip between two threads of the worker, and an event in the history. It is an optimization only: where a step
 * has no answer, the workflow goes on with the step's own activity.
 *
 * `onSold` is called where nothing is left to do, at most once for an order: a repetition finds it sold already.
 */
export function createSellAtOnce(
  steps: Pick<OrderActivities, 'reserveStock' | 'chargePayment' | 'confirmSale' | 'publishOutcome'>,
  onSold: (itemId: ItemId) => void = () => undefined,
) {
  return {
    /** Throws only where nothing was charged: may be called again. */
    async sellAtOnce(step: Parameters<OrderActivities['reserveStock']>[0]): Promise<SaleAtOnce> {
      const { fence } = step;
      // After this error nothing is charged: the answer comes too late for that.
      const reservation = await within(steps.reserveStock(step), LEDGER_MS_MAX, 'the reservation');
      if (reservation.kind !== 'reserved' || reservation.again) return { reservation };
      if (reservation.owed.length > 0 || reservation.payBy !== undefined) return { reservation };
      const order = inLedger(step.order, reservation.order);
      const { generation } = reservation;
      const charge = steps.chargePayment({ order, generation, inDoubt: false });
      const payment = await orNoAnswer(charge, CHARGE_MS_MAX);
      if (payment.kind !== 'charged') return { reservation, payment };
      const { itemId, requestId, orderId } = order;
      const { paymentId } = payment;
      const confirm = steps.confirmSale({
        itemId,
        requestId,
        orderId,
        generation,
        fence,
        paymentId,
      });
      const sale = await orNoAnswer(confirm, LEDGER_MS_MAX);
      if (sale.kind !== 'sold') return { reservation, payment, sale };
      const event = await orNoAnswer(steps.publishOutcome({ order }), EVENT_MS_MAX);
      if (event !== undefined) return { reservation, payment, sale };
      onSold(itemId);
      return { reservation, payment, sale, published: true };
    },
  };
}

async function orNoAnswer<T>(step: Promise<T>, msMax: number): Promise<T | NoAnswer> {
  try {
    return await within(step, msMax, 'the step');
  } catch (error) {
    return { kind: 'no-answer', error: error instanceof Error ? error.message : String(error) };
  }
}
