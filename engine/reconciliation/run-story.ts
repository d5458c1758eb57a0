import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { assertNever } from '../orders/invariant';
import type { ReleaseResult, ReserveResult } from '../orders/ledger';
import type { Order, ReleaseReason } from '../orders/order';
import { ORDER_FAILED, type OrderInput, type OrderResult } from '../orders/contract';

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
export type HistoryEvent = NonNullable<History['events']>[number];

/** What a run had found out about its order's stock and money, as far as its history goes. */
export interface RunStory {
  readonly order: Order;
  /** How the order stood in the ledger; absent: the run had not asked yet. */
  readonly stands?: Standing;
  /**
   * Its first task was begun and has told nothing. Within it a generation may have been opened and charged, since a
   * charge at once is made before the history says that the units are reserved.
   */
  readonly unheard: boolean;
  /** The id is another request's: the ledger's entry is not this order's. */
  readonly foreign: boolean;
  /** The run found the mark that its buyer has left. */
  readonly cancelledByBuyer: boolean;
  /** The largest fence of a step that took effect, in ms; 0: none did. */
  readonly fence: number;
  /** Every generation that was named, whatever became of it. */
  readonly generations: readonly number[];
  /** Generations whose money is back or was never taken. */
  readonly settled: readonly number[];
  /** When the run came to its outcome, in ms; absent while it runs or where it was ended from outside. */
  readonly finishedAt?: number;
}

export type Standing =
  | { readonly state: 'reserved'; readonly generation: number }
  | { readonly state: 'sold'; readonly generation: number; readonly paymentId?: string }
  | { readonly state: 'released'; readonly reason: ReleaseReason };

/**
 * Reads the history of a run of the order workflow, from its first event on. A step that was started and has no result
 * here may have taken effect: it is asked again by the run itself, and every step may be taken twice.
 */
export function readRunStory(events: readonly HistoryEvent[]): RunStory {
  const input = payload(events[0]?.workflowExecutionStartedEventAttributes?.input) as OrderInput;
  const draft: Draft = {
    ...{ order: input.order, foreign: false, cancelledByBuyer: false, late: false, fence: 0 },
    unheard: false,
    ...{ generations: new Set<number>(), settled: new Set<number>() },
  };
  const asked = new Map<string, { readonly step: string; readonly input: unknown }>();
  // Workflow code reads the clock of the task it runs in: the fences of its steps.
  let taskStartedAt = 0;
  for (const event of events) {
    if (event.workflowTaskStartedEventAttributes) {
      taskStartedAt = msOf(event.eventTime);
      draft.unheard ||= input.firstCharge === 'local' && !draft.reserveAnswered;
    }
    const marker = event.markerRecordedEventAttributes;
    if (marker?.markerName === LOCAL_ACTIVITY && marker.details?.['result']) {
      const { activity_type: step } = payload(marker.details['data']) as { activity_type: string };
      takeAnswer(draft, step, { fence: taskStartedAt }, payload(marker.details['result']));
    }
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) {
      const step = scheduled.activityType?.name ?? '';
      asked.set(String(event.eventId), { step, input: payload(scheduled.input) });
    }
    const completed = event.activityTaskCompletedEventAttributes;
    const question = completed && asked.get(String(completed.scheduledEventId));
    if (question) takeAnswer(draft, question.step, question.input, payload(completed.result));
    takeEnd(draft, event);
  }
  const { order, stands, unheard, foreign, cancelledByBuyer, fence, finishedAt } = draft;
  return {
    ...{ order, unheard, foreign, cancelledByBuyer, fence },
    ...(stands && { stands }),
    generations: [...draft.generations],
    settled: [...draft.settled],
    ...(finishedAt !== undefined && { finishedAt }),
  };
}

const LOCAL_ACTIVITY = 'core_local_activity';

/** What is known of a run while its history is read. */
interface Draft {
  readonly order: Order;
  stands?: Standing;
  unheard: boolean;
  reserveAnswered?: true;
  foreign: boolean;
  cancelledByBuyer: boolean;
  /** It was told that a later step has taken effect: it says nothing of how the order stands. */
  late: boolean;
  fence: number;
  paymentId?: string | undefined;
  finishedAt?: number;
  readonly generations: Set<number>;
  readonly settled: Set<number>;
}

function takeAnswer(draft: Draft, step: string, input: unknown, result: unknown): void {
  switch (step) {
    case 'reserveStock':
      reserved(draft, result as ReserveResult, (input as { fence: number }).fence);
      break;
    case 'chargePayment':
      draft.paymentId = (result as { paymentId?: string }).paymentId;
      break;
    case 'confirmSale':
      if ((result as { kind: string }).kind !== 'sold' || draft.stands?.state !== 'reserved') break;
      draft.fence = Math.max(draft.fence, (input as { fence: number }).fence);
      sold(draft, draft.stands.generation, draft.paymentId);
      break;
    case 'releaseStock':
      released(draft, result as ReleaseResult, input as ReleaseStep);
      break;
    case 'refundPayment':
      if (result !== 'kept') draft.settled.add((input as { generation: number }).generation);
      break;
  }
}

function takeEnd(draft: Draft, event: HistoryEvent): void {
  const { workflowExecutionCompletedEventAttributes: completed } = event;
  const failure = event.workflowExecutionFailedEventAttributes?.failure;
  if (completed) {
    const result = payload(completed.result) as OrderResult;
    const at = msOf(event.eventTime);
    if (result.outcome === 'cancelled') {
      ended(draft, 'cancelled', at);
    } else {
      sold(draft, result.generation, result.paymentId);
      draft.finishedAt = at;
    }
  }
  if (failure?.applicationFailureInfo?.type === ORDER_FAILED) {
    ended(draft, failure.message as ReleaseReason, msOf(event.eventTime));
  }
  if (event.workflowExecutionCanceledEventAttributes) {
    ended(draft, 'cancelled', msOf(event.eventTime));
  }
}

function reserved(draft: Draft, answer: ReserveResult, fence: number): void {
  name(draft, answer.owed);
  draft.reserveAnswered = true;
  draft.unheard = false;
  switch (answer.kind) {
    case 'reserved':
      name(draft, [answer.generation]);
      draft.fence = Math.max(draft.fence, fence);
      draft.stands = { state: 'reserved', generation: answer.generation };
      break;
    case 'sold':
      sold(draft, answer.generation, answer.paymentId);
      break;
    case 'sold-out':
      draft.stands = { state: 'released', reason: 'sold-out' };
      break;
    case 'over':
      draft.late = true;
      break;
    case 'cancelled':
      draft.cancelledByBuyer = true;
      draft.stands = { state: 'released', reason: 'cancelled' };
      break;
    case 'mismatch':
      draft.foreign = true;
      break;
    default:
      assertNever(answer);
  }
}

function released(draft: Draft, answer: ReleaseResult, step: ReleaseStep): void {
  name(draft, [...answer.owed, answer.generation]);
  if (answer.kind === 'sold') {
    sold(draft, answer.generation, answer.paymentId);
    return;
  }
  draft.fence = Math.max(draft.fence, step.fence);
  if (answer.cancelledByBuyer) draft.cancelledByBuyer = true;
  const reason = answer.cancelledByBuyer ? 'cancelled' : step.reason;
  draft.stands = { state: 'released', reason };
  // What the ledger knew of and no longer owed was settled before.
  for (const generation of draft.generations) {
    if (!answer.owed.includes(generation)) draft.settled.add(generation);
  }
}

function sold(draft: Draft, generation: number, paymentId: string | undefined): void {
  name(draft, [generation]);
  draft.stands = { state: 'sold', generation, ...(paymentId !== undefined && { paymentId }) };
}

function ended(draft: Draft, reason: ReleaseReason, at: number): void {
  draft.finishedAt = at;
  if (reason === 'request-id-reused') draft.foreign = true;
  else if (!draft.late && draft.stands?.state !== 'released') {
    draft.stands = { state: 'released', reason };
  }
}

/** Generations count from 1; 0 says that nothing was reserved. */
function name(draft: Draft, generations: readonly number[]): void {
  for (const generation of generations) if (generation > 0) draft.generations.add(generation);
}

interface ReleaseStep {
  readonly fence: number;
  readonly reason: ReleaseReason;
}

function payload(payloads: { payloads?: Payload[] | null } | null | undefined): unknown {
  const first = payloads?.payloads?.[0];
  return first ? jsonOf(first) : undefined;
}

/** The native core writes its own notes in an encoding that only it names. */
function jsonOf(one: Payload): unknown {
  const encoding = Buffer.from(one.metadata?.['encoding'] ?? []).toString();
  if (encoding !== 'json/plain') return undefined;
  return defaultPayloadConverter.fromPayload(one);
}

function msOf(time: HistoryEvent['eventTime']): number {
  return Number(time?.seconds ?? 0) * 1_000 + Math.floor((time?.nanos ?? 0) / 1_000_000);
}
