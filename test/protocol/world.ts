import type { Cancellation } from '../../engine/orders/cancellation-record';
import type { Order } from '../../engine/orders/order';
import type { KnownState } from '../../engine/reconciliation/run-history';
import type { ModelArchive, OrderEnd } from './model-archive';
import type { Generation } from './model-ledger';

export type SagaRule =
  | 'release-before-refund'
  | 'fence-per-step'
  | 'queue-before-answer'
  | 'refund-blocks-unseen-key'
  | 'payment-key-per-generation-not-run'
  | 'payment-key-has-order-id'
  | 'found-charge-is-compared'
  | 'unreadable-ledger-parks'
  | 'cancellation-is-in-the-log'
  | 'cancelled-twice'
  | 'rebuild-needs-the-whole-history'
  | 'audit-appends-what-nobody-ended'
  | 'claim-is-marked'
  | 'payment-ends-before-units-go'
  | 'untold-payment-ends-before-units-go'
  | 'every-release-looks'
  | 'ended-payment-is-blocked'
  | 'money-found-at-the-end-confirms'
  | 'hint-is-no-proof'
  | 'claim-is-read-twice';

/**
 * `wait`: for the buyer's payment; `find`: asks the provider about it; `end`: ends it there; `undecided`: the provider can
 * neither end it nor say what becomes of it.
 */
export type Step =
  'reserve' | 'resolve' | 'charge' | 'confirm' | 'release' | 'wait' | 'find' | 'end' | 'undecided';
export type End = 'charge' | Outcome;
export type Outcome = 'confirmed' | 'failed' | 'cancelled';
export type Charged = 'captured' | 'declined';

/** From the log, or by an operator: a replay or a reset. */
export type StartedBy = 'log' | 'operator';

export interface Run {
  readonly id: number;
  /** Counts the runs of this order. */
  readonly number: number;
  /** The fence if there were one for each run: a run that is reset late inherits it from its history. */
  readonly runFence: number;
  readonly startedBy: StartedBy;
  /** What a rebuild reads of it. */
  readonly history: KnownToRun;
  /** The ledger's, once the run was told; until then its record's. */
  orderId: string;
  step: Step;
  generation: number;
  owed: number[];
  /** The next step once every charge is resolved. */
  then: End;
  /** The number of this step, so that a retry has the fence of its first try. */
  asked: string;
  fence: number;
  retries: number;
  /** Temporal was asked to cancel this run. */
  cancelRequested: boolean;
  /** It compensates, which nothing cancels. */
  compensating: boolean;
  /** Generations of whose payment it was told that something has happened. */
  readonly hinted: Set<number>;
  /** Why it has ended the payment that it waited for. */
  endedBy: 'deadline' | 'cancellation' | undefined;
  /** The generation whose payment the provider has declined for certain, or 0. */
  declined: number;
  /** The ledger cannot be read: the server retries the step, in no slot of a worker. */
  parked: boolean;
  /** It has found its order ended by an earlier run, which has written the letter. */
  foundEnded: boolean;
  /** What was known of the newest acceptance when it was started: it may be the run of an earlier one. */
  before: Pick<OrderWorld, 'outcome' | 'hasFailed'>;
}

/** A run's history as it grows, see RunHistory. */
export interface KnownToRun {
  order: Order;
  isTold: boolean;
  /** The order id of the record that the run was started with, to which a reset returns. */
  readonly recordId: string;
  known?: KnownState;
  cancelledByBuyer: boolean;
  fence: number;
  readonly generations: Set<number>;
  readonly resolved: Set<number>;
}

export interface Call {
  readonly order: string;
  readonly orderId: string;
  readonly run: number;
  readonly runNumber: number;
  readonly startedBy: StartedBy;
  readonly step: Step;
  readonly generation: number;
  readonly fence: number;
  /** The run's number of this step. */
  readonly asked: number;
  /** As in a run, or the generation whose payment the release itself has ended. */
  declined: number;
  readonly charged: Charged;
  /** What a release has found reserved whose payment its run has not ended, or 0; absent: it has not looked. */
  untold?: Generation | 0;
}

export interface Reservation {
  readonly orderId: string;
  readonly generation: number;
  readonly owed: readonly number[];
  readonly runFence: number;
  readonly history: KnownToRun;
}

/** A record in the log. */
export interface OrderRecord {
  readonly orderId: string;
  /** The audit has appended it although an operator had ended the order. */
  readonly revives: boolean;
}

/** What an attempt has found of its claim. `number` counts the claims of the order. */
export interface SeenClaim {
  readonly kind: 'new' | 'same' | 'finished';
  readonly number: number;
}

/** Several acceptances of one request. What is told and known of "it" is of the newest one. */
export interface OrderWorld extends OrderPlan {
  readonly attempts: ('new' | 'claimed' | 'undoing' | 'held' | 'acked' | 'refused' | 'over')[];
  /** The order id that each attempt was told with its hold. */
  readonly orderIds: string[];
  /** When each order id was accepted. */
  readonly acceptedAt: Map<string, number>;
  /** What each attempt has found of its claim, where orders leave. */
  readonly seen: SeenClaim[];
  claimNumber: number;
  accepted: boolean;
  /** An attempt has held units, so the log may have a record of it. */
  mayBeInTheLog: boolean;
  /** The last definite answer was a rejection. */
  toldRejected: boolean;
  readonly log: OrderRecord[];
  /** Records that ingest has read. */
  consumed: number;
  runs: number;
  run: Run | undefined;
  outcome: Outcome | undefined;
  /** Dead letters. */
  letters: number;
  /** How often its buyer has asked to cancel it. */
  cancels: number;
  /** The gateway has marked it and not asked Temporal yet. */
  cancelling: boolean;
  /** The ledger has cancelled it, and the cancellation is not in the log yet. */
  cancelled: Cancellation | undefined;
  /** The cancellation is in the log, and the buyer was not told yet. */
  recorded: boolean;
  /** Cancellations in the log. */
  readonly cancellations: Cancellation[];
  /** Its buyer was told that it is cancelled. */
  toldCancelled: boolean;
  /** The state of the run after its last reservation, to which a late reset returns. */
  reservation: Reservation | undefined;
  /** Of the runs that Temporal still has, oldest first. */
  readonly histories: KnownToRun[];
  /** A run of it has failed, and no operator has retried it since. */
  hasFailed: boolean;
  /** An operator has terminated a run of it. */
  wasTerminated: boolean;
  /** The same, and no operator has retried it since. */
  isEndedByOperator: boolean;
  /** Started from such a record. */
  isRevived: boolean;
  /** Temporal has forgotten a run of it, or the log has lost its record. */
  hasGap: boolean;
  /** Temporal has forgotten a run of it: it is as old as that. */
  isOld: boolean;
  /** The acceptances that are as old. */
  readonly oldIds: Set<string>;
  /** When its last run ended. */
  endedAt: number;
  /** A run has come to its last step, which tells what its order is. */
  mayTell: boolean;
  /** Its ends that an event tells, and the archive does not know yet. */
  readonly told: { readonly end: OrderEnd; readonly at: number }[];
  /** The archiver has marked its claim, and is about to remove it from the ledger. */
  leaving: { readonly end: OrderEnd; readonly claim: number | undefined } | undefined;
  /** The ends of its acceptances that have left the ledger. */
  readonly left: OrderEnd[];
  /** The last of them is its newest acceptance. */
  hasLeft: boolean;
  /** The claim that was marked for that one. */
  leftClaim: number | undefined;
}

/** One of the two orders of a walk. */
export interface OrderPlan {
  readonly name: string;
  /** Two orders with one request_id: the buyer uses it again for another item. */
  readonly request: string;
  readonly item: string;
  readonly price: number;
  /** Whether its payment keys are those of orders that are older than order ids. */
  readonly isOlderThanOrderIds: boolean;
  /** Its buyer pays, until a deadline. */
  readonly pays?: true;
  readonly attemptsMax: number;
  readonly runsMax: number;
  readonly retriesMax: number;
  readonly cancelsMax: number;
  /** Its first attempt has been accepted when the walk begins. */
  readonly beginsAccepted?: true;
}

/** What happens around the two orders, each so many times in a walk. */
export interface Trouble {
  /** A claim ends, or Temporal forgets a closed run, or the log drops what was read. */
  retentions: number;
  /** Ingest reads the log again from its beginning. */
  rereads: number;
  /** The log loses the records of an order. */
  lostRecords: number;
  /** Redis loses the ledger of an item. */
  losses: number;
  /** The ledger of an item becomes unreadable. */
  sicknesses: number;
  /** An operator terminates a run. */
  terminations: number;
  audits: number;
  /** The archiver lets an order leave the ledger. */
  leaves: number;
  /** The archive does not answer. */
  archiveFaults: number;
}

/** What both orders share. */
export interface Surroundings {
  /** Order by request_id. */
  readonly claims: Map<string, string>;
  /** The request_ids whose claims are marked: their orders leave. */
  readonly finished: Set<string>;
  /** Whether orders leave in this walk. */
  readonly ordersLeave: boolean;
  readonly archive: ModelArchive;
  /** The time of the last thing that has one. */
  clock: number;
  /** The order whose run Temporal has, by request_id. */
  readonly workflows: Map<string, string>;
  /** Items whose ledger is lost. */
  readonly lost: Set<string>;
  /** Items whose ledger cannot be read. */
  readonly sick: Set<string>;
  readonly left: Trouble;
  /** A promise that a move has broken. */
  broken?: string;
}

export interface Move {
  readonly name: string;
  readonly apply: () => Promise<void>;
  /** Whether it may never happen: a run need not be reset, and a lease need not end in time. */
  readonly optional?: boolean;
}

export interface World {
  moves(): Promise<Move[]>;
  /** What is broken now; undefined when nothing is. */
  violation(): Promise<string | undefined>;
  /** What is broken once nothing moves any more. */
  violationAtEnd(): Promise<string | undefined>;
}

export function anOrder(plan: OrderPlan): OrderWorld {
  return {
    ...plan,
    attempts: Array.from({ length: plan.attemptsMax }, () => 'new' as const),
    orderIds: [],
    acceptedAt: new Map(),
    seen: [],
    claimNumber: 0,
    accepted: false,
    mayBeInTheLog: false,
    toldRejected: false,
    log: [],
    consumed: 0,
    runs: 0,
    run: undefined,
    outcome: undefined,
    letters: 0,
    cancels: 0,
    cancelling: false,
    cancelled: undefined,
    recorded: false,
    cancellations: [],
    toldCancelled: false,
    reservation: undefined,
    histories: [],
    hasFailed: false,
    wasTerminated: false,
    isEndedByOperator: false,
    isRevived: false,
    hasGap: false,
    isOld: false,
    oldIds: new Set(),
    endedAt: 0,
    mayTell: false,
    told: [],
    leaving: undefined,
    left: [],
    hasLeft: false,
    leftClaim: undefined,
  };
}

/** An attempt of a request whose order has left, and whose retention is over: a new order, of which nothing is known. */
export function acceptAnew(order: OrderWorld): void {
  Object.assign(order, {
    accepted: false,
    outcome: undefined,
    letters: 0,
    cancelling: false,
    cancelled: undefined,
    recorded: false,
    toldCancelled: false,
    hasFailed: false,
    hasLeft: false,
    leaving: undefined,
  } satisfies Partial<OrderWorld>);
  // It is a run of the order that has left.
  if (order.run) order.run.before = { outcome: undefined, hasFailed: false };
}

/** How the newest acceptance of an order has ended that has left the ledger; undefined: it is there, or there is none. */
export function leftEnd({ hasLeft, left }: OrderWorld): OrderEnd | undefined {
  return hasLeft ? left.at(-1) : undefined;
}

/** A move that touches nothing outside the world. */
export function inWorld(name: string, change: () => void): Move {
  return {
    name,
    apply: () => {
      change();
      return Promise.resolve();
    },
  };
}

/** The ledger of an item, while it can be used. */
export function canServe({ lost, sick }: Surroundings, { item }: OrderPlan): boolean {
  return !lost.has(item) && !sick.has(item);
}
