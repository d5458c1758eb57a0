import {
  ApplicationFailure,
  CancelledFailure,
  CancellationScope,
  isCancellation,
  setCurrentDetails,
  TemporalFailure,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { ApplicationFailureCategory } from '@temporalio/common';
import {
  ORDER_FAILED,
  ORDER_OUTCOME,
  type OrderCancelled,
  type OrderConfirmed,
  type OrderInput,
  type OrderResult,
} from '../engine/orders/contract';
import { assertNever } from '../engine/orders/invariant';
import { inLedger } from '../engine/orders/ledger';
import {
  keySinceOf,
  totalMinor,
  type FailureReason,
  type Order,
  type ReleaseReason,
} from '../engine/orders/order';
import { awaitPayment } from './await-payment';
import { orPark, rootMessage, type ProgressLog } from './parking';
import {
  chargeAtOnce,
  chargePayment,
  confirmAtOnce,
  confirmInTask,
  confirmSale,
  deadLetter,
  publishAtOnce,
  publishOutcome,
  refundAtOnce,
  refundPayment,
  releaseAtOnce,
  releaseStock,
  reserveAtOnce,
  reserveInTask,
  reserveStock,
  sellAtOnce,
  type SaleAtOnce,
} from './steps';

/** How an attempt to sell ended, before anything is given back. */
type Attempt =
  | Sold
  | Cancelled
  | {
      readonly outcome: 'not-sold';
      /** As the ledger has it; as its record has it, where the run was not told. */
      readonly order: Order;
      readonly reason: ReleaseReason;
      readonly error: string;
      /** 0 while nothing was reserved. */
      readonly generation: number;
      /** The provider has declined the generation, or its key is another order's: there is no charge to resolve. */
      readonly nothingCharged?: boolean;
      /** This run has taken nothing, so it gives nothing back. */
      readonly nothingTaken?: boolean;
      /** The failure is an earlier run's, which has left its dead letter. */
      readonly hasLetter?: boolean;
    };

interface Sold {
  readonly outcome: 'sold';
  readonly result: OrderConfirmed;
  /** Other systems know of it. */
  readonly published?: boolean;
}

/** Its buyer has cancelled it, and Temporal was not asked to cancel the run; or has not paid in time. */
type Cancelled = OrderCancelled;

/** How an order ended, once everything that was taken is given back or sold. */
type Ending =
  | Sold
  | Cancelled
  | {
      readonly outcome: 'failed';
      readonly reason: FailureReason | 'cancelled';
      readonly error: string;
    };

/**
 * Sells one order: reserves its units, takes the money, confirms. If a step fails, or may have happened without an answer,
 * everything taken is given back, and the order ends as a dead letter and a failed workflow. Other systems are told last.
 */
export async function orderWorkflow(input: OrderInput): Promise<OrderResult> {
  const log = createProgressLog();
  const attempt = await sell(input, log);
  if (attempt.outcome === 'sold' && attempt.published) return attempt.result;

  return CancellationScope.nonCancellable(async () => {
    const ending = attempt.outcome === 'not-sold' ? await giveBack(input, attempt, log) : attempt;
    if (input.events) await publish(input, log);
    switch (ending.outcome) {
      case 'sold':
        return ending.result;
      case 'cancelled':
        return cancelled(ending, log);
      case 'failed':
        if (ending.reason === 'cancelled') throw new CancelledFailure('the order was cancelled');
        upsertSearchAttributes([{ key: ORDER_OUTCOME, value: ending.reason }]);
        throw orderFailed(ending.reason, ending.error);
      default:
        return assertNever(ending);
    }
  });
}

/** The compensation of an attempt. The order may turn out to be sold after all. */
async function giveBack(
  input: OrderInput,
  attempt: Extract<Attempt, { outcome: 'not-sold' }>,
  log: ProgressLog,
): Promise<Ending> {
  const { order, reason, error, generation } = attempt;
  log(`not sold: ${reason} (${error})`);
  if (!attempt.nothingTaken) {
    // Before the refund: the release closes the generation, so that nothing builds on a payment that is about to be returned.
    const settled = attempt.nothingCharged ? generation : undefined;
    const released = await release({ ...input, order }, reason, settled, log);
    const { orderId } = released;
    await resolveCharges({ ...input, order: { ...order, orderId } }, released.owed, log);
    // The entry is another order's, so it does not list what this one was charged.
    if (orderId !== order.orderId && generation > 0 && !attempt.nothingCharged) {
      await resolveCharges({ ...input, order }, [generation], log);
    }
    if (released.kind === 'sold') {
      log('sold after all');
      return sold(released);
    }
    log('units released');
    // Temporal was not asked to cancel this run, so only the ledger knows of it. The order must not be started again.
    if (released.cancelledByBuyer && reason !== 'cancelled') return { outcome: 'cancelled' };
  }
  if (reason === 'payment-deadline') return { outcome: 'cancelled', reason };
  if (reason !== 'cancelled' && !attempt.hasLetter) {
    await deadLetter.executeWithOptions({ summary: `${order.requestId}: ${reason}` }, [
      { input, reason, error, generation, orderId: order.orderId },
    ]);
    log('dead letter written');
  }
  return { outcome: 'failed', reason, error };
}

/** Tells other systems what became of the order. While Kafka is away the order waits for it, with its money and units settled. */
async function publish({ order }: OrderInput, log: ProgressLog): Promise<void> {
  const { itemId, requestId, fingerprint } = order;
  const by = (step: typeof publishOutcome | typeof publishAtOnce) => () =>
    step.executeWithOptions({ summary: `publish the outcome of ${requestId}` }, [
      { order: { itemId, requestId, fingerprint } },
    ]);
  await orPark(log, by(publishAtOnce), by(publishOutcome));
  log('outcome published');
}

async function sell(input: OrderInput, log: ProgressLog): Promise<Attempt> {
  let { order } = input;
  let step: { reason: FailureReason; generation: number } = { reason: 'sale-lost', generation: 0 };
  try {
    const atOnce = await begin(input, log);
    const reservedAt = Date.now();
    const { reservation } = atOnce;
    if (reservation.kind !== 'mismatch' && reservation.kind !== 'expired') {
      order = inLedger(order, reservation.order);
    }
    await resolveCharges({ ...input, order }, reservation.owed, log);
    switch (reservation.kind) {
      case 'reserved':
        break;
      case 'sold':
        log('already sold');
        return sold(reservation);
      case 'cancelled':
        return { outcome: 'cancelled' };
      case 'sold-out':
        return notTaken(order, 'sold-out', 'no unit was left');
      case 'limit':
        return notTaken(order, 'purchase-limit', 'its buyer may have no more units');
      case 'ended': {
        const { reason } = reservation;
        if (reason === 'cancelled') return { outcome: 'cancelled' };
        if (reason === 'payment-deadline') return { outcome: 'cancelled', reason };
        const error = 'it failed before, and its record was read again';
        return { ...notTaken(order, reason, error), hasLetter: true };
      }
      case 'expired':
        return notTaken(order, 'sale-lost', 'accepted too long ago, and the ledger has no entry');
      case 'over':
        return notTaken(order, 'sale-lost', 'a later step of this order took effect');
      case 'mismatch':
        return notTaken(order, 'request-id-reused', 'the id is another request');
      default:
        return assertNever(reservation);
    }
    const { generation, again = false, payBy } = reservation;
    log(`reserved ${units(order)}, generation ${String(generation)}`);

    step = { reason: 'payment-unknown', generation };
    const payment =
      payBy === undefined
        ? await pay({ ...input, order }, generation, { again, atOnce }, log)
        : await awaitPayment(order, reservation, reservedAt, log);
    if (payment.kind === 'ended') {
      const { reason, error } = payment;
      return { ...notSold(order, reason, error, generation), nothingCharged: true };
    }
    if (payment.kind === 'declined') {
      const error = `the provider said: ${payment.code}`;
      const failed = notSold(order, 'payment-declined', error, generation);
      return { ...failed, nothingCharged: true };
    }
    if (payment.kind === 'foreign') {
      const failed = notSold(order, 'payment-unknown', payment.error, generation);
      return { ...failed, nothingCharged: true };
    }
    log(`charged ${payment.paymentId}`);

    step = { reason: payBy === undefined ? 'sale-lost' : 'late-payment', generation };
    return await confirm({ ...input, order }, step, payment.paymentId, atOnce, log);
  } catch (error) {
    // Any other error is a bug in this code: the workflow task fails and is retried, and the order stays as it is.
    if (!(error instanceof TemporalFailure)) throw error;
    const reason = isCancellation(error) ? 'cancelled' : step.reason;
    return notSold(order, reason, rootMessage(error), step.generation);
  }
}

/** Reserves the units. Where the input asks for it and nothing is in the way, they are paid and sold in the same step. */
async function begin(input: OrderInput, log: ProgressLog): Promise<SaleAtOnce> {
  const { order, parking, firstCharge } = input;
  const run = { start: startOf(input), runId: workflowInfo().runId };
  const step = () => ({ order, fence: Date.now(), ...run });
  const by = async (reserve: typeof reserveStock | typeof reserveAtOnce) => {
    const summary = `reserve ${units(order)}`;
    return { reservation: await reserve.executeWithOptions({ summary }, [step()]) };
  };
  if (!parking) return by(reserveInTask);
  const later = () => by(reserveStock);
  if (firstCharge !== 'at-once') return orPark(log, () => by(reserveAtOnce), later);
  const summary = `sell ${units(order)} for ${price(order)}`;
  return orPark(log, () => sellAtOnce.executeWithOptions({ summary }, [step()]), later);
}

/** What the provider has said of a generation: at once, or when it is asked again. */
function pay(
  input: OrderInput,
  generation: number,
  { again, atOnce }: { readonly again: boolean; readonly atOnce: SaleAtOnce },
  log: ProgressLog,
) {
  const { payment } = atOnce;
  if (payment === undefined) return charge(input, generation, again, log);
  if (payment.kind !== 'no-answer') return payment;
  log(`the charge at once had no answer: ${payment.error}`);
  return charge(input, generation, true, log);
}

/**
 * A record may be read again when its run is forgotten, and then tries nothing again. A replay and a reset do, and so does a
 * start by hand, which has no source.
 */
function startOf({ source }: OrderInput): 'first' | 'again' {
  const { runId, firstExecutionRunId, memo } = workflowInfo();
  const isReplay = memo?.['replay'] !== undefined;
  return source && !isReplay && runId === firstExecutionRunId ? 'first' : 'again';
}

/**
 * Takes the money of one generation. If the input asks for it, a quick attempt is made first, within the workflow task. It is
 * made at most once for a generation, by the run that opened it, and only its definite answer counts. After a lost task, a
 * reset or a lost answer the generation is in doubt, and the regular activity looks the charge up before it sends it again.
 *
 * `again`: the generation was open before this run, or this attempt at its first task, reserved it.
 */
async function charge(
  { order, firstCharge }: OrderInput,
  generation: number,
  again: boolean,
  log: ProgressLog,
) {
  const summary = `charge ${price(order)}, generation ${String(generation)}`;
  const regular = (inDoubt: boolean) =>
    chargePayment.executeWithOptions({ summary }, [{ order, generation, inDoubt }]);

  if (firstCharge !== 'local' || again) return regular(again);
  try {
    return await chargeAtOnce.executeWithOptions({ summary }, [
      { order, generation, inDoubt: false },
    ]);
  } catch (error) {
    if (!(error instanceof TemporalFailure) || isCancellation(error)) throw error;
    log(`the charge at once had no answer: ${rootMessage(error)}`);
    return regular(true);
  }
}

/** The money is taken: from here on a cancellation is too late. */
function confirm(
  { order, parking }: OrderInput,
  { generation, reason }: { readonly generation: number; readonly reason: FailureReason },
  paymentId: string,
  atOnce: SaleAtOnce,
  log: ProgressLog,
): Promise<Attempt> {
  const { itemId, requestId, orderId } = order;
  const summary = `sell ${units(order)}`;
  const by = (step: typeof confirmSale | typeof confirmAtOnce) =>
    step.executeWithOptions({ summary }, [
      { itemId, requestId, orderId, generation, fence: Date.now(), paymentId },
    ]);
  const again = (error: string) => {
    log(`the sale at once had no answer: ${error}`);
    return by(confirmSale);
  };
  const ask = () => {
    const { sale } = atOnce;
    if (sale) return sale.kind === 'no-answer' ? again(sale.error) : sale;
    if (!parking) return by(confirmInTask);
    return by(confirmAtOnce).catch((error: unknown) => {
      if (!(error instanceof TemporalFailure)) throw error;
      return again(rootMessage(error));
    });
  };
  return CancellationScope.nonCancellable(async () => {
    const sale = await ask();
    if (sale.kind === 'lost') {
      return notSold(order, reason, 'the reservation was gone', generation);
    }
    log(`sold ${units(order)}`);
    return { ...sold({ generation, paymentId }), published: atOnce.published === true };
  });
}

/** `declined`: nothing is charged for this generation for certain, so its charge needs no settling. */
function release(
  { order, parking }: OrderInput,
  reason: ReleaseReason,
  declined: number | undefined,
  log: ProgressLog,
) {
  const summary = `release ${units(order)}: ${reason}`;
  const by = (step: typeof releaseStock) => () =>
    step.executeWithOptions({ summary }, [
      { order, fence: Date.now(), reason, ...(declined !== undefined && { declined }) },
    ]);
  return parking ? orPark(log, by(releaseAtOnce), by(releaseStock)) : by(releaseStock)();
}

/** Each generation with an unresolved charge is refunded, or its payment key is blocked. */
async function resolveCharges(
  { order, parking }: OrderInput,
  generations: readonly number[],
  log: ProgressLog,
): Promise<void> {
  const { itemId, requestId, orderId, currency } = order;
  const due = { amountMinor: totalMinor(order), currency };
  const keySince = keySinceOf(order);
  for (const generation of generations) {
    const summary = `refund ${requestId}, generation ${String(generation)}`;
    const by = (step: typeof refundPayment) => () =>
      step.executeWithOptions({ summary }, [
        { itemId, requestId, orderId, generation, due, keySince },
      ]);
    const refund = await (parking
      ? orPark(log, by(refundAtOnce), by(refundPayment))
      : by(refundPayment)());
    log(`generation ${String(generation)}: ${refund}`);
  }
}

type NotSold = Extract<Attempt, { readonly outcome: 'not-sold' }>;

function notSold(order: Order, reason: ReleaseReason, error: string, generation: number): NotSold {
  return { outcome: 'not-sold', order, reason, error, generation };
}

function notTaken(order: Order, reason: ReleaseReason, error: string): NotSold {
  return { ...notSold(order, reason, error, 0), nothingTaken: true };
}

function sold({ generation, paymentId }: { generation: number; paymentId?: string }): Sold {
  const payment = paymentId !== undefined && { paymentId };
  return { outcome: 'sold', result: { outcome: 'confirmed', generation, ...payment } };
}

/**
 * A run that Temporal was not asked to cancel cannot close as cancelled, and a failed run could be started again. So it
 * completes, and its outcome says that nothing was sold.
 */
function cancelled(ending: OrderCancelled, log: ProgressLog): OrderCancelled {
  log(ending.reason ?? 'cancelled by its buyer');
  upsertSearchAttributes([{ key: ORDER_OUTCOME, value: ending.reason ?? 'cancelled' }]);
  return ending;
}

/** A failed order is expected, so the failure is benign: it shows in the Web UI and not in the worker's log. */
function orderFailed(reason: FailureReason, error: string): ApplicationFailure {
  return ApplicationFailure.create({
    message: reason,
    type: ORDER_FAILED,
    nonRetryable: true,
    details: [{ reason, error }],
    category: ApplicationFailureCategory.BENIGN,
  });
}

function price(order: Order): string {
  return `${String(totalMinor(order))} ${order.currency} (minor units)`;
}

function units(order: Order): string {
  return `${order.itemId} ×${String(order.amount)}`;
}

/** The steps done so far, as the Web UI's current details: kept in memory and free of history events. */
function createProgressLog(): ProgressLog {
  const lines: string[] = [];
  return (line) => {
    lines.push(`- ${new Date().toISOString().slice(11, 23)} ${line}`);
    setCurrentDetails(lines.join('\n'));
  };
}
