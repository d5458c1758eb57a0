import { activityInfo } from '@temporalio/activity';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { LEDGER_UNREADABLE, type OrderInput } from '../engine/orders/contract';
import type { OutcomePublisher } from '../engine/kafka/outcome-publisher';
import type { DeadLetter } from '../engine/orders/dead-letter';
import { isLedgerUnreadable, orderOf, type ReservingRun } from '../engine/orders/ledger';
import {
  paymentKey,
  type FailureReason,
  type ItemId,
  type Order,
  type OrderId,
} from '../engine/orders/order';
import { encodeOrder } from '../engine/orders/order-record';
import {
  foreignCharge,
  orderCharge,
  refundOwnCharge,
  type DueCharge,
  type ForeignCharge,
} from '../engine/payments/own-charge';
import type {
  ChargeResult,
  CheckoutProvider,
  FoundCharge,
  PaymentProvider,
} from '../engine/payments/payment-provider';
import type { PaymentAlarms } from '../engine/payments/payment-alarms';
import type { AuditSummary } from '../engine/reconciliation/audit-stock';
import type { LedgerOfRecord } from '../engine/archive/ledger-of-record';
import type { OrderGeneration } from '../engine/stock/stock-ledger';

export type OrderActivities = ReturnType<typeof createOrderActivities>;

type ReleaseStep = Parameters<LedgerOfRecord['release']>[0];

/** Not a step of an order: the schedule's workflow calls it. */
export interface AuditActivities {
  auditStock(): Promise<AuditSummary>;
}

/**
 * The steps of the saga. Each is one idempotent effect, so it may run late, twice, or at the same time as its own retry.
 * Names, arguments and results are in recorded histories and stay as they are.
 */
export function createOrderActivities({
  ledger,
  provider,
  deadLetters,
  outcomes,
  orderRetentionMs,
  onForeignCharge,
  onUndecided,
}: {
  readonly ledger: Pick<
    LedgerOfRecord,
    'reserve' | 'confirm' | 'release' | 'isRefundable' | 'resolveCharge' | 'findOrder'
  >;
  readonly provider: PaymentProvider & Pick<CheckoutProvider, 'cancel'>;
  readonly deadLetters: { write(letter: DeadLetter): Promise<void> };
  readonly outcomes: OutcomePublisher;
  /** How long the ledger has the entry of an order, at least. */
  readonly orderRetentionMs: number;
} & PaymentAlarms) {
  const own = tellForeign(onForeignCharge);
  const buyerPayments = createBuyerPayments(provider, own, onUndecided);
  const release = createRelease(ledger, buyerPayments);
  const parkedRetries = createPacedRetries();
  const parkedIfUnreadable = <T>(itemId: ItemId, use: () => Promise<T>) =>
    toldIfUnreadable(use, () => parkedRetries(itemId, activityInfo().attempt));
  return {
    reserveStock: (step: {
      order: Order;
      fence: number;
      /** Absent in steps of old workers, as is the run. */
      start?: ReservingRun['start'];
      runId?: string;
    }) => {
      const { order, fence, start = 'again', runId = '' } = step;
      const run = { start, runId, acceptedMsMax: orderRetentionMs };
      return parkedIfUnreadable(order.itemId, () => ledger.reserve(order, fence, run));
    },
    /** Never parked, so it keeps its own delays. */
    confirmSale: (step: Parameters<LedgerOfRecord['confirm']>[0]) =>
      toldIfUnreadable(() => ledger.confirm(step)),
    releaseStock: (step: ReleaseStep) => parkedIfUnreadable(step.order.itemId, () => release(step)),

    /** Charges one generation of an order. When the provider has no definite answer it throws, and the server retries. */
    async chargePayment(step: {
      order: Order;
      generation: number;
      /** An earlier call may have charged the generation and got no answer. Absent in old orders. */
      inDoubt?: boolean;
    }): Promise<ChargeResult | ForeignCharge> {
      const { order, generation, inDoubt = false } = step;
      // An earlier attempt may have charged and lost its answer: look the charge up before it is sent again.
      const mayBeCharged = inDoubt || activityInfo().attempt > 1;
      const charge = orderCharge(order, generation);
      if (!mayBeCharged) return provider.charge(charge);
      const earlier = own(await provider.find(charge.key, charge.keySince), charge);
      if (earlier?.kind === 'pending') throw new Error(`${charge.key} is paid by its buyer`);
      return earlier ?? provider.charge(charge);
    },

    ...buyerPayments,

    /**
     * Resolves the charge of one generation: refunds it, or blocks its key so that it can never succeed. A reserved or sold
     * generation is kept. The charge is struck after the refund: a crash in between only repeats the refund.
     */
    refundPayment: (
      step: OrderGeneration & {
        /** Absent in steps of old workers. */
        due?: Pick<DueCharge, 'amountMinor' | 'currency'>;
        keySince?: number;
      },
    ): Promise<'refunded' | 'nothing' | 'kept' | 'foreign'> =>
      parkedIfUnreadable(step.itemId, async () => {
        if (!(await ledger.isRefundable(step))) return 'kept';
        const { requestId, orderId, generation, due, keySince } = step;
        const key = paymentKey(requestId, orderId, generation);
        // Only the key of an order without an id can be another order's: its request_id may have been used again.
        const refund =
          due && orderId === undefined
            ? await refundOwnCharge(provider, { key, ...due })
            : await provider.refund(key, keySince);
        await ledger.resolveCharge(step);
        if (typeof refund === 'string') return refund;
        onForeignCharge(refund);
        return refund.kind;
      }),

    publishOutcome: createPublishOutcome(outcomes),

    /** Returns once Kafka has acknowledged the letter. A retry writes it again under the same id. */
    async deadLetter(step: {
      input: OrderInput;
      reason: FailureReason;
      error: string;
      generation: number;
      /** Of the ledger's entry, or else of the record. */
      orderId?: OrderId | undefined;
    }): Promise<void> {
      const { order, source, original } = step.input;
      const { workflowExecution, scheduledTimestampMs } = activityInfo();
      const runId = workflowExecution?.runId ?? 'no-run';
      await deadLetters.write({
        id: `${order.requestId}:${runId}`,
        requestId: order.requestId,
        orderId: step.orderId,
        itemId: order.itemId,
        reason: step.reason,
        error: step.error,
        generation: step.generation,
        runId,
        at: scheduledTimestampMs,
        ...(source && { source }),
        value: original === undefined ? encodeOrder(order) : Buffer.from(original),
      });
    },
  };
}

/** What was found under a key, unless that is another order's. */
type OwnCharge = <Found extends FoundCharge | undefined>(
  found: Found,
  charge: DueCharge,
) => Found | ForeignCharge;

function tellForeign(onForeignCharge: PaymentAlarms['onForeignCharge']): OwnCharge {
  return (found, charge) => {
    const foreign = foreignCharge(found, charge);
    if (foreign) onForeignCharge(foreign);
    return foreign ?? found;
  };
}

interface BuyerPayment {
  readonly order: Order;
  readonly generation: number;
}

const PENDING = { kind: 'pending' } as const;

/** The steps of a payment that the buyer makes. Without a definite answer they throw. */
function createBuyerPayments(
  provider: Pick<PaymentProvider, 'find'> & Pick<CheckoutProvider, 'cancel'>,
  own: OwnCharge,
  onUndecided: PaymentAlarms['onUndecided'],
) {
  return {
    /** What has become of the payment of a generation. */
    async findPayment({ order, generation }: BuyerPayment): Promise<PaymentState> {
      const charge = orderCharge(order, generation);
      // Before the buyer's page has opened it, the provider knows nothing of it.
      return own(await provider.find(charge.key, charge.keySince), charge) ?? PENDING;
    },

    /**
     * Ends a payment that the buyer has not made, so that none can be made any more. `charged`: the buyer was faster;
     * `pending`: the provider can neither end it nor say what becomes of it.
     */
    async cancelPayment({ order, generation }: BuyerPayment): Promise<PaymentState> {
      const charge = orderCharge(order, generation);
      const state = own(await provider.cancel(charge.key, charge.keySince), charge);
      if (state.kind === 'pending') onUndecided(charge.key);
      return state;
    },
  };
}

/**
 * A run that was cancelled before it was told of its reservation has not ended the payment, and the buyer may have the page:
 * it is ended before the units go. A reserve that takes effect between this look and the release has its payment blocked after
 * that, as all other unresolved charges.
 */
function createRelease(
  ledger: Pick<LedgerOfRecord, 'findOrder' | 'release'>,
  { cancelPayment }: Pick<ReturnType<typeof createBuyerPayments>, 'cancelPayment'>,
) {
  /** Returns the generation if nothing is paid for it. `declined`: the run has ended the payment of that one. */
  const endUntold = async ({
    order,
    fence,
    declined,
  }: ReleaseStep): Promise<number | undefined> => {
    const { requestId, itemId, fingerprint, payWithinMs } = order;
    if (payWithinMs === undefined) return undefined;
    const { entry } = (await ledger.findOrder(requestId, itemId)) ?? {};
    if (entry?.state !== 'reserved' || entry.payBy === undefined) return undefined;
    // Another request's, or a later step's: the release leaves it as it is.
    if (entry.fingerprint !== fingerprint || entry.fence > fence) return undefined;
    const { generation } = entry;
    if (generation === declined && entry.orderId === order.orderId) return undefined;
    const reserved = orderOf({ itemId, requestId, entry });
    const { kind } = await cancelPayment({ order: reserved, generation });
    if (kind === 'pending') throw new Error('the payment is not decided');
    return kind === 'declined' ? generation : undefined;
  };
  return async (step: ReleaseStep) => {
    // A late step of an earlier run may have another generation than the one that is open.
    const declined = (await endUntold(step)) ?? step.declined;
    return ledger.release({ ...step, ...(declined !== undefined && { declined }) });
  };
}

/** What the provider says of a payment. Histories record it. */
export type PaymentState = FoundCharge | ForeignCharge;

function createPublishOutcome(outcomes: OutcomePublisher) {
  const retries = createPacedRetries();
  /** Returns once Kafka has acknowledged the event of the order's state. A retry writes it again under the same id. */
  return async ({
    order,
  }: {
    order: Pick<Order, 'itemId' | 'requestId' | 'fingerprint'>;
  }): Promise<void> => {
    try {
      await outcomes.publish(order);
    } catch (error) {
      // As at a ledger that cannot be read many orders may wait, whatever their items: for one topic.
      const nextRetryDelay = retries('events', activityInfo().attempt);
      throw ApplicationFailure.create({
        message: `the event could not be written: ${error instanceof Error ? error.message : String(error)}`,
        ...(nextRetryDelay !== undefined && { nextRetryDelay }),
        category: ApplicationFailureCategory.BENIGN,
        cause: error as Error,
      });
    }
  };
}

/**
 * Gives the failure of an unreadable ledger the type by which the workflow parks its order. It is benign: the worker's log
 * names it once, where the order parks, and not again with every retry.
 */
async function toldIfUnreadable<T>(
  use: () => Promise<T>,
  retryDelayMs: () => number | undefined = () => undefined,
): Promise<T> {
  try {
    return await use();
  } catch (error) {
    if (!isLedgerUnreadable(error)) throw error;
    const nextRetryDelay = retryDelayMs();
    throw ApplicationFailure.create({
      message: `the item's ledger cannot be read`,
      ...(nextRetryDelay !== undefined && { nextRetryDelay }),
      type: LEDGER_UNREADABLE,
      category: ApplicationFailureCategory.BENIGN,
      cause: error as Error,
    });
  }
}

/** At its ninth attempt a step that is retried until it succeeds is about a minute apart (`workflows/steps.ts`). */
const ATTEMPTS_BEFORE_PACING = 9;
const PACED_MS_MIN = 60_000;
const PACED_MS_MAX = 600_000;
/** An attempt costs its worker and the server about half of what an order costs (decision 9). */
const SPACING_MS = 200;

/**
 * Spreads the later retries of parked orders. Up to 300 orders of an item are tried once a minute by this process; more of
 * them, up to 3,000, five a second; and what lies beyond at a time of its own within ten minutes, so that a crowd does not
 * come back as one.
 *
 * Returns the delay in ms after the given attempt of a step; undefined while the step has its own short delays.
 */
export function createPacedRetries(
  now: () => number = () => performance.now(),
  random: () => number = Math.random,
) {
  /** When the latest retry of each item is due: a mended item does not wait for a sick one. */
  const latest = new Map<string, number>();
  return (key: string, attempt: number): number | undefined => {
    if (attempt < ATTEMPTS_BEFORE_PACING) return undefined;
    const at = now();
    for (const [other, due] of latest) if (due < at) latest.delete(other);
    const due = Math.max((latest.get(key) ?? at) + SPACING_MS, at + PACED_MS_MIN);
    if (due - at > PACED_MS_MAX) return (PACED_MS_MAX * (1 + random())) / 2;
    latest.set(key, due);
    return due - at;
  };
}
