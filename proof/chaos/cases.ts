import {
  type Action,
  ACTIONS,
  type Call,
  canDrop,
  partsOf,
  type Point,
  pointsOf,
  PROCESS_NAMES,
  type ProcessName,
} from '../../platform/failpoints';
import { isOfCheckout, type Trait } from './orders-plan';

/** What goes wrong, once for one order and once under a burst. */
export interface ChaosCase {
  /** A failpoint of the victim, or whatever else the action is done to. */
  readonly point: Point | keyof typeof ARCHIVE_FAULTS;
  readonly action: Action | ArchiveFault;
  /** The process that fails; the archiver where PostgreSQL does. */
  readonly victim: ProcessName;
  /** Absent: the victim fails at its failpoint. */
  readonly fault?: ArchiveFault | undefined;
  /** The trait by which the one order passes this point; `late`: no unit is left for it. */
  readonly order: Trait | 'late';
  /**
   * At which passing of the point it fires for one order, and in a burst of BURST_ORDERS: when many orders are under way.
   * For a fault of the archive: how many orders of the sale are archived before.
   */
  readonly hit: number;
  readonly burstHit: number;
  /** How long the process stays frozen. */
  readonly freezeMs: number;
}

/**
 * `kill`: SIGKILL to PostgreSQL, several times. `freeze`: SIGSTOP to all of its processes; `cut`: nobody reaches it, each
 * until every order has come to its end.
 * `rebalance`: a second archiver joins, the first is killed and comes back, the second leaves. `reset`: the group's offsets
 * are lost. `replay`: so are the positions in PostgreSQL, and everything is archived again. `repeat`: all events are
 * appended to the topic again, the last one first.
 */
const ARCHIVE_FAULTS = {
  postgres: ['kill', 'freeze', 'cut'],
  archiver: ['rebalance', 'reset', 'replay', 'repeat'],
} as const;
export type ArchiveFault = (typeof ARCHIVE_FAULTS)[keyof typeof ARCHIVE_FAULTS][number];

/** Longer than the lease of a hold (15 s). */
const API_FREEZE_MS = 16_500;
/** Longer than the session of a consumer (10 s): its partitions are given away meanwhile. */
const INGEST_FREEZE_MS = 12_000;
/** Longer than a workflow task and a charge may take (10 s): both time out. */
const WORKER_FREEZE_MS = 11_000;
/** Longer than an attempt of a refund or a dead letter (20 s). */
const LONG_ACTIVITY_FREEZE_MS = 21_000;
/** Longer than an attempt of a step of a refund (30 s). */
const RETURN_FREEZE_MS = 31_000;
/** After another archiver has got its partitions, which is when its session has ended (10 s). */
const ARCHIVER_FREEZE_MS = 3_000;
/** Asked every two seconds, and also while the process gets ready. */
const ARCHIVER_IS_READY = 8;

interface Passing {
  readonly order?: ChaosCase['order'];
  readonly hit?: number;
  readonly burstHit: number;
  readonly freezeMs?: number;
}

/** How orders pass each call. Gateway, consumer and archiver make one call for many orders, and so make few. */
const PASSINGS: { readonly [P in ProcessName]: Readonly<Record<Call<P>, Passing>> } = {
  api: {
    hold: { burstHit: 2 },
    undo: { order: 'late', burstHit: 1 },
    reject: { order: 'abandoned', burstHit: 1 },
    queue: { burstHit: 2 },
    append: { burstHit: 40 },
    send: { burstHit: 3 },
    answer: { burstHit: 30 },
    cancel: { order: 'cancelled', burstHit: 3 },
    'cancel-run': { order: 'cancelled', burstHit: 1 },
    'append-cancellation': { order: 'cancelled', burstHit: 2 },
    checkout: { order: 'pays', burstHit: 20 },
    'ask-run': { order: 'pays', burstHit: 20 },
    'start-late-refund': { order: 'late-money', burstHit: 2 },
    'start-returns': { order: 'dashboard', burstHit: 2 },
    'start-refund': { order: 'given-back', burstHit: 2 },
  },
  ingest: {
    start: { burstHit: 40 },
    count: { burstHit: 2 },
    'dead-letter': { order: 'foreign', burstHit: 2 },
    'give-back': { order: 'foreign', burstHit: 2 },
    'may-start': { order: 'reused', burstHit: 2 },
    claim: { burstHit: 2 },
    commit: { burstHit: 3 },
    reserve: { burstHit: 40 },
    charge: { burstHit: 40 },
    confirm: { burstHit: 30 },
    publish: { burstHit: 30 },
  },
  worker: {
    reserve: { burstHit: 40 },
    confirm: { burstHit: 30 },
    release: { order: 'declined', burstHit: 5 },
    'may-settle': { order: 'lost', burstHit: 2, freezeMs: LONG_ACTIVITY_FREEZE_MS },
    settle: { order: 'lost', burstHit: 2, freezeMs: LONG_ACTIVITY_FREEZE_MS },
    charge: { burstHit: 40 },
    find: { order: 'doubtful', burstHit: 2 },
    refund: { order: 'lost', burstHit: 2, freezeMs: LONG_ACTIVITY_FREEZE_MS },
    'dead-letter': { order: 'declined', burstHit: 4, freezeMs: LONG_ACTIVITY_FREEZE_MS },
    publish: { burstHit: 30 },
    'cancel-payment': { order: 'walks-away', burstHit: 4 },
    'list-events': { order: 'pays', hit: 3, burstHit: 6 },
    'ask-run': { order: 'pays', burstHit: 5 },
    'start-late-refund': { order: 'late-money', burstHit: 2 },
    'start-returns': { order: 'dashboard', burstHit: 2 },
    'refund-sale': { order: 'given-back', burstHit: 3, freezeMs: RETURN_FREEZE_MS },
    returns: { order: 'given-back', burstHit: 3, freezeMs: RETURN_FREEZE_MS },
    'publish-return': { order: 'given-back', burstHit: 3, freezeMs: RETURN_FREEZE_MS },
    'note-returns': { order: 'given-back', burstHit: 3, freezeMs: RETURN_FREEZE_MS },
    restock: { order: 'given-back', burstHit: 3, freezeMs: RETURN_FREEZE_MS },
  },
  archiver: {
    positions: { hit: ARCHIVER_IS_READY, burstHit: ARCHIVER_IS_READY },
    write: { burstHit: 20 },
    commit: { burstHit: 20 },
  },
};

const FREEZE_MS: Readonly<Record<ProcessName, number>> = {
  api: API_FREEZE_MS,
  ingest: INGEST_FREEZE_MS,
  worker: WORKER_FREEZE_MS,
  archiver: ARCHIVER_FREEZE_MS,
};

/**
 * Every point with every action that makes sense there and every fault, or those whose name contains one of the texts of
 * `only`, which are comma-separated.
 */
export function planCases(only = ''): readonly ChaosCase[] {
  const atFailpoints = PROCESS_NAMES.flatMap((victim) =>
    pointsOf(victim).flatMap((point) =>
      ACTIONS.filter((action) => action !== 'drop' || canDrop(point)).map((action): ChaosCase => {
        const { order = 'plain', hit = 1, burstHit, freezeMs = FREEZE_MS[victim] } = passing(point);
        return { point, action, victim, order, hit, burstHit, freezeMs };
      }),
    ),
  );
  const ofTheArchive = Object.entries(ARCHIVE_FAULTS).flatMap(([point, faults]) =>
    faults.map((fault): ChaosCase => {
      const what = { point: point as keyof typeof ARCHIVE_FAULTS, action: fault, fault };
      return { ...what, victim: 'archiver', order: 'plain', hit: 0, burstHit: 40, freezeMs: 0 };
    }),
  );
  return [...atFailpoints, ...ofTheArchive].filter((one) =>
    only.split(',').some((text) => nameOf(one).includes(text)),
  );
}

/** Whether the buyers of a case pay themselves. */
export function isInCheckout({ order }: Pick<ChaosCase, 'order'>): boolean {
  return order !== 'late' && isOfCheckout(order);
}

/** A failpoint is named as FAILPOINTS takes it, without the number of the hit. */
export function nameOf({ point, action }: Pick<ChaosCase, 'point' | 'action'>): string {
  return `${point}=${action}`;
}

function passing(point: Point): Passing {
  const { process, call } = partsOf(point);
  const ofProcess: Readonly<Partial<Record<Call, Passing>>> = PASSINGS[process];
  const found = ofProcess[call];
  if (!found) throw new Error(`No order is planned that passes ${point}`);
  return found;
}
