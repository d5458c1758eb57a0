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
import type { Trait } from './orders-plan';

/** A failpoint and what the process does there, once for one order and once under a burst. */
export interface ChaosCase {
  readonly point: Point;
  readonly action: Action;
  readonly victim: Victim;
  /** The trait by which the one order passes this point; `late`: no unit is left for it. */
  readonly order: Trait | 'late';
  /** At which passing of the point it fires in a burst of BURST_ORDERS: when many orders are under way. */
  readonly burstHit: number;
  /** How long the process stays frozen. */
  readonly freezeMs: number;
}

/** Longer than the lease of a hold (15 s). */
const API_FREEZE_MS = 16_500;
/** Longer than the session of a consumer (10 s): its partitions are given away meanwhile. */
const INGEST_FREEZE_MS = 12_000;
/** Longer than a workflow task and a charge may take (10 s): both time out. */
const WORKER_FREEZE_MS = 11_000;
/** Longer than an attempt of a refund or a dead letter (20 s). */
const LONG_ACTIVITY_FREEZE_MS = 21_000;

interface Passing {
  readonly order?: ChaosCase['order'];
  readonly burstHit: number;
  readonly freezeMs?: number;
}

/** The processes in the path of an order. */
export type Victim = Exclude<ProcessName, 'archiver'>;
const VICTIMS = PROCESS_NAMES.filter((name): name is Victim => name !== 'archiver');

/** How orders pass each call. The gateway and the consumer make one call for many orders, and so make few. */
const PASSINGS: { readonly [P in Victim]: Readonly<Record<Call<P>, Passing>> } = {
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
  },
};

const FREEZE_MS: Readonly<Record<Victim, number>> = {
  api: API_FREEZE_MS,
  ingest: INGEST_FREEZE_MS,
  worker: WORKER_FREEZE_MS,
};

/** Every point with every action that makes sense there, or those whose `<point>=<action>` has `only` in it. */
export function planCases(only = ''): readonly ChaosCase[] {
  return VICTIMS.flatMap((victim) =>
    pointsOf(victim).flatMap((point) =>
      ACTIONS.filter((action) => action !== 'drop' || canDrop(point)).map((action): ChaosCase => {
        const { order = 'plain', burstHit, freezeMs = FREEZE_MS[victim] } = passing(point);
        return { point, action, victim, order, burstHit, freezeMs };
      }),
    ),
  ).filter((one) => nameOf(one).includes(only));
}

/** As FAILPOINTS takes it, without the number of the hit. */
export function nameOf({ point, action }: ChaosCase): string {
  return `${point}=${action}`;
}

function passing(point: Point): Passing {
  const { process, call } = partsOf(point);
  const ofProcess: Readonly<Partial<Record<Call, Passing>>> =
    process === 'archiver' ? {} : PASSINGS[process];
  const found = ofProcess[call];
  if (!found) throw new Error(`No order is planned that passes ${point}`);
  return found;
}
