import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { assertNever } from '../orders/invariant';
import type { ConfirmResult, ReleaseResult, ReserveResult } from '../orders/ledger';
import type { Order, ReleaseReason } from '../orders/order';
import type { SaleAtOnce } from '../payments/sale-at-once';
import { ORDER_FAILED, type OrderInput, type OrderResult } from '../orders/contract';

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
export type HistoryEvent = NonNullable<History['events']>[number];

/** What a run knew of its order's stock and money at the end of its history. */
export interface RunHistory {
  /** As the ledger had it, where the run was told. */
  readonly order: Order;
  /** Whether the ledger told the run its order. Of an order that was accepted twice, the record may name the other one. */
  readonly isTold: boolean;
  /** The order's last known state in the ledger; absent: the run had no result of a step. */
  readonly known?: KnownState;
  /**
   * The first task was started and has recorded nothing. It may have opened and charged a generation, because a local
   * charge is made before the history records the reserve.
   */
  readonly mayHaveCharged: boolean;
  /** The request_id belongs to another order, and so does the ledger's entry. */
  readonly isOtherOrder: boolean;
  /** The run found the order cancelled by its buyer. */
  readonly cancelledByBuyer: boolean;
  /** The largest fence of a step that took effect, in ms; 0: none did. */
  readonly fence: number;
  /** Every generation that a result named. */
  readonly generations: ReadonlySet<number>;
  /** Generations that hold no money for certain. */
  readonly resolved: ReadonlySet<number>;
  /** When the run reached its outcome, in ms; absent while it is open or when it was ended from outside. */
  readonly finishedAt?: number;
}

export type KnownState =
  | { readonly state: 'reserved'; readonly generation: number; readonly payBy?: number | undefined }
  | ({
      readonly state: 'sold';
      readonly generation: number;
      readonly paymentId: string | undefined;
    } & Revised)
  | ({ readonly state: 'released'; readonly reason: ReleaseReason } & Revised);

interface Revised {
  /** Absent where no step has told it: the change is older than revisions, or the answer was lost. */
  readonly revision?: number | undefined;
}

/**
 * Reads the history of a run of the order workflow from its first event on. A step without a result may have taken effect:
 * the run sends it again, and every step may be repeated.
 */
export function readRunHistory(events: readonly HistoryEvent[]): RunHistory {
  const input = payload(events[0]?.workflowExecutionStartedEventAttributes?.input) as OrderInput;
  const run: RunReading = {
    order: input.order,
    isTold: false,
    mayHaveCharged: false,
    isOtherOrder: false,
    cancelledByBuyer: false,
    isLate: false,
    fence: 0,
    generations: new Set(),
    resolved: new Set(),
  };
  const scheduled = new Map<string, { readonly step: string; readonly input: unknown }>();
  // Workflow code reads the time at which its task was started. That time is the fence of the task's steps.
  let taskStartedAt = 0;
  let isTaskLost = false;
  for (const event of events) {
    if (event.workflowTaskStartedEventAttributes) {
      taskStartedAt = msOf(event.eventTime);
      run.mayHaveCharged ||= input.firstCharge !== undefined && !run.isReserveRecorded;
    }
    isTaskLost ||= !!(
      event.workflowTaskFailedEventAttributes ?? event.workflowTaskTimedOutEventAttributes
    );
    const marker = event.markerRecordedEventAttributes;
    if (marker?.markerName === LOCAL_ACTIVITY) {
      const { activity_type: step } = payload(marker.details?.['data']) as {
        activity_type: string;
      };
      const result = marker.details?.['result'];
      if (result) readResult(run, step, { fence: taskStartedAt }, payload(result));
      // With an error of its own the step has charged nothing; of one that was timed out nobody knows.
      else isTaskLost ||= step === 'sellAtOnce' && isTimeout(marker.failure);
    }
    const activity = event.activityTaskScheduledEventAttributes;
    if (activity) {
      const step = activity.activityType?.name ?? '';
      scheduled.set(String(event.eventId), { step, input: payload(activity.input) });
      // The order is parked: its task has ended without a charge. A task that was lost before may have made one, and a buyer
      // may have opened the payment of a generation that no history has.
      const isSettled = !isTaskLost && input.order.payWithinMs === undefined;
      if (step === 'reserveStock' && isSettled) setReserveRecorded(run);
    }
    const completed = event.activityTaskCompletedEventAttributes;
    const asked = completed && scheduled.get(String(completed.scheduledEventId));
    if (asked) readResult(run, asked.step, asked.input, payload(completed.result));
    readEnd(run, event);
  }
  return run;
}

const LOCAL_ACTIVITY = 'core_local_activity';

type Failure = NonNullable<HistoryEvent['markerRecordedEventAttributes']>['failure'];

/** Whether it or what has caused it is a timeout. */
function isTimeout(failure: Failure): boolean {
  return !!failure && (!!failure.timeoutFailureInfo || isTimeout(failure.cause));
}

/** A history while it is read. */
type RunReading = {
  -readonly [Field in keyof RunHistory]: RunHistory[Field];
} & {
  readonly generations: Set<number>;
  readonly resolved: Set<number>;
  isReserveRecorded?: true;
  /** A step was told that a later one took effect, so the run does not know the order's state. */
  isLate: boolean;
  paymentId?: string | undefined;
};

function readResult(run: RunReading, step: string, input: unknown, result: unknown): void {
  switch (step) {
    case 'reserveStock':
      readReserve(run, result as ReserveResult, (input as { fence: number }).fence);
      break;
    case 'sellAtOnce': {
      const { reservation, payment, sale } = result as SaleAtOnce;
      const { fence } = input as { fence: number };
      readReserve(run, reservation, fence);
      if (payment) readResult(run, 'chargePayment', input, payment);
      if (sale) readResult(run, 'confirmSale', input, sale);
      break;
    }
    case 'chargePayment':
    case 'findPayment':
    case 'cancelPayment':
      run.paymentId = (result as { paymentId?: string }).paymentId;
      break;
    case 'confirmSale':
      if ((result as ConfirmResult).kind !== 'sold' || run.known?.state !== 'reserved') break;
      run.fence = Math.max(run.fence, (input as { fence: number }).fence);
      setSold(run, { ...run.known, paymentId: run.paymentId, ...(result as ConfirmResult) });
      break;
    case 'releaseStock':
      readRelease(run, result as ReleaseResult, input as ReleaseInput);
      break;
    case 'refundPayment':
      if (result !== 'kept') run.resolved.add((input as { generation: number }).generation);
      break;
  }
}

function readReserve(run: RunReading, result: ReserveResult, fence: number): void {
  addGenerations(run, result.owed);
  // Without them the entry was older than order ids, or is another request's.
  if (result.order) {
    const { orderId, priceMinor, currency } = result.order;
    run.order = { ...run.order, orderId, priceMinor, currency };
  }
  run.isTold = result.kind !== 'mismatch';
  setReserveRecorded(run);
  switch (result.kind) {
    case 'reserved':
      addGenerations(run, [result.generation]);
      run.fence = Math.max(run.fence, fence);
      run.known = { state: 'reserved', generation: result.generation, payBy: result.payBy };
      break;
    case 'sold':
      setSold(run, result);
      break;
    case 'sold-out':
    case 'limit': {
      const reason = result.kind === 'limit' ? 'purchase-limit' : 'sold-out';
      run.fence = Math.max(run.fence, fence);
      run.known = { state: 'released', reason, revision: result.revision };
      break;
    }
    case 'ended':
      run.known = { state: 'released', reason: result.reason, revision: result.revision };
      break;
    case 'expired':
      break;
    case 'over':
      run.isLate = true;
      break;
    case 'cancelled':
      run.cancelledByBuyer = true;
      run.known = { state: 'released', reason: 'cancelled', revision: result.revision };
      break;
    case 'mismatch':
      run.isOtherOrder = true;
      break;
    default:
      assertNever(result);
  }
}

/** From here on a charge is made only where the history names its generation. */
function setReserveRecorded(run: RunReading): void {
  run.isReserveRecorded = true;
  run.mayHaveCharged = false;
}

interface ReleaseInput {
  readonly fence: number;
  readonly reason: ReleaseReason;
}

function readRelease(run: RunReading, result: ReleaseResult, step: ReleaseInput): void {
  addGenerations(run, [...result.owed, result.generation]);
  // A run that was cancelled before it reserved anything.
  if (!run.isTold && result.orderId !== undefined) {
    run.order = { ...run.order, orderId: result.orderId };
  }
  run.isTold = true;
  if (result.kind === 'sold') {
    setSold(run, result);
    return;
  }
  run.fence = Math.max(run.fence, step.fence);
  if (result.cancelledByBuyer) run.cancelledByBuyer = true;
  const reason = result.cancelledByBuyer ? 'cancelled' : step.reason;
  run.known = { state: 'released', reason, revision: result.revision };
  // `owed`, the recorded word, lists all unresolved charges: every other generation is resolved.
  for (const generation of run.generations) {
    if (!result.owed.includes(generation)) run.resolved.add(generation);
  }
}

function readEnd(run: RunReading, event: HistoryEvent): void {
  const at = msOf(event.eventTime);
  const completed = event.workflowExecutionCompletedEventAttributes;
  if (completed) {
    const result = payload(completed.result) as OrderResult;
    if (result.outcome === 'cancelled') setEnded(run, result.reason ?? 'cancelled', at);
    else {
      setSold(run, {
        ...result,
        revision: run.known?.state === 'sold' ? run.known.revision : undefined,
      });
      run.finishedAt = at;
    }
  }
  const failure = event.workflowExecutionFailedEventAttributes?.failure;
  if (failure?.applicationFailureInfo?.type === ORDER_FAILED) {
    setEnded(run, failure.message as ReleaseReason, at);
  }
  if (event.workflowExecutionCanceledEventAttributes) setEnded(run, 'cancelled', at);
}

function setSold(
  run: RunReading,
  {
    generation,
    paymentId,
    revision,
  }: { readonly generation: number; readonly paymentId?: string | undefined } & Revised,
): void {
  addGenerations(run, [generation]);
  run.known = { state: 'sold', generation, paymentId, revision };
}

function setEnded(run: RunReading, reason: ReleaseReason, at: number): void {
  run.finishedAt = at;
  if (reason === 'request-id-reused') run.isOtherOrder = true;
  else if (!run.isLate && run.known?.state !== 'released') {
    run.known = { state: 'released', reason };
  }
}

/** Generations count from 1; 0 means that nothing was reserved. */
function addGenerations(run: RunReading, generations: readonly number[]): void {
  for (const generation of generations) if (generation > 0) run.generations.add(generation);
}

function payload(payloads: { payloads?: Payload[] | null } | null | undefined): unknown {
  const first = payloads?.payloads?.[0];
  // The native core writes its own notes in an encoding that no converter here knows.
  const encoding = Buffer.from(first?.metadata?.['encoding'] ?? []).toString();
  return first && encoding === 'json/plain'
    ? defaultPayloadConverter.fromPayload(first)
    : undefined;
}

function msOf(time: HistoryEvent['eventTime']): number {
  return Number(time?.seconds ?? 0) * 1_000 + Math.floor((time?.nanos ?? 0) / 1_000_000);
}
