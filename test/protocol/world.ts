export type SagaRule =
  | 'release-before-refund'
  | 'fence-per-step'
  | 'queue-before-answer'
  | 'refund-blocks-unseen-key'
  | 'payment-key-per-generation-not-run';

export type Step = 'reserve' | 'resolve' | 'charge' | 'confirm' | 'release';
export type End = 'charge' | Outcome;
export type Outcome = 'confirmed' | 'failed' | 'cancelled';
export type Charged = 'captured' | 'declined';

export interface Run {
  readonly id: number;
  /** Counts the runs of this order. */
  readonly number: number;
  /** The fence if there were one for each run: a run that is reset late inherits it from its history. */
  readonly runFence: number;
  step: Step;
  generation: number;
  owed: number[];
  /** The next step once every charge is resolved. */
  then: End;
  /** What is asked for. A retry has the fence of its first try; a parked step asks again under a fence of its own. */
  asked: string;
  fence: number;
  retries: number;
  /** Temporal was asked to cancel this run. */
  cancelRequested: boolean;
  /** It compensates, which nothing cancels. */
  compensating: boolean;
}

export interface Call {
  readonly order: string;
  readonly run: number;
  readonly runNumber: number;
  readonly step: Step;
  readonly generation: number;
  readonly fence: number;
  /** The number of the step's try; a run waits only for its last one. */
  readonly asked: number;
  readonly charged: Charged;
}

export interface Reservation {
  readonly generation: number;
  readonly owed: readonly number[];
  readonly runFence: number;
}

export interface OrderWorld {
  readonly name: string;
  readonly attempts: ('new' | 'held' | 'acked' | 'refused' | 'over')[];
  /** The order id that each attempt was told with its hold. */
  readonly orderIds: string[];
  accepted: boolean;
  /** An attempt has held units, so the log may have a record of it. */
  mayBeInTheLog: boolean;
  /** The last definite answer was a rejection. */
  toldRejected: boolean;
  appended: number;
  consumed: number;
  runs: number;
  run: Run | undefined;
  outcome: Outcome | undefined;
  /** How often its buyer has asked to cancel it. */
  cancels: number;
  /** The gateway has marked it and not asked Temporal yet. */
  cancelling: boolean;
  /** Its buyer was told that it is cancelled. */
  toldCancelled: boolean;
  /** The state of the run after its last reservation, to which a late reset returns. */
  reservation: Reservation | undefined;
  readonly runsMax: number;
  readonly retriesMax: number;
  readonly cancelsMax: number;
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

export function anOrder(
  name: string,
  limits: { attempts: number; runsMax: number; retriesMax: number; cancelsMax: number },
): OrderWorld {
  return {
    name,
    attempts: Array.from({ length: limits.attempts }, () => 'new' as const),
    orderIds: [],
    accepted: false,
    mayBeInTheLog: false,
    toldRejected: false,
    appended: 0,
    consumed: 0,
    runs: 0,
    run: undefined,
    outcome: undefined,
    cancels: 0,
    cancelling: false,
    toldCancelled: false,
    reservation: undefined,
    runsMax: limits.runsMax,
    retriesMax: limits.retriesMax,
    cancelsMax: limits.cancelsMax,
  };
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
