import type { OrderPlan, Trouble } from './world';

/** Two orders, and what happens around them. */
export interface Scenario {
  readonly orders: readonly [OrderPlan, OrderPlan];
  readonly trouble: Trouble;
  /** Steps that the worker has in its tasks at once. */
  readonly slots: number;
}

const NO_TROUBLE: Trouble = {
  retentions: 0,
  rereads: 0,
  lostRecords: 0,
  losses: 0,
  sicknesses: 0,
  terminations: 0,
  audits: 0,
  leaves: 0,
  archiveFaults: 0,
};

/** Everything happens to the first order. */
const FIRST: OrderPlan = {
  name: 'A',
  request: 'a',
  item: 'X',
  price: 1,
  isOlderThanOrderIds: false,
  attemptsMax: 3,
  runsMax: 4,
  retriesMax: 2,
  cancelsMax: 2,
};

/** The second one competes for the same unit. */
const RIVAL: OrderPlan = {
  ...FIRST,
  name: 'B',
  request: 'b',
  attemptsMax: 1,
  runsMax: 2,
  retriesMax: 1,
  cancelsMax: 1,
};

/** The buyer of the first order uses its request_id again, for another item. */
const REUSE: OrderPlan = { ...RIVAL, request: FIRST.request, item: 'Y' };

/** Fewer failures of the ordinary kinds, so that the walks come to the others. */
const calm = (plan: OrderPlan): OrderPlan => ({
  ...plan,
  attemptsMax: 1,
  runsMax: 2,
  retriesMax: 1,
  cancelsMax: 1,
});

/** None of them. */
const undisturbed = (plan: OrderPlan): OrderPlan => ({
  ...calm(plan),
  retriesMax: 0,
  cancelsMax: 0,
});

/** One sale, nothing is lost or forgotten. */
export const AN_AFTERNOON: Scenario = {
  orders: [FIRST, RIVAL],
  trouble: NO_TROUBLE,
  slots: Infinity,
};

/** What years bring. A walk takes the next one, and all promises hold in each. */
export const YEARS: readonly Scenario[] = [
  {
    // The same price: a charge of the one order would look like the other's.
    orders: [calm(FIRST), REUSE],
    trouble: { ...NO_TROUBLE, retentions: 3, rereads: 1 },
    slots: Infinity,
  },
  {
    orders: [
      { ...undisturbed(FIRST), isOlderThanOrderIds: true },
      { ...undisturbed(REUSE), isOlderThanOrderIds: true, price: 2 },
    ],
    trouble: { ...NO_TROUBLE, retentions: 3, rereads: 1 },
    slots: Infinity,
  },
  {
    orders: [calm(FIRST), calm(RIVAL)],
    trouble: { ...NO_TROUBLE, retentions: 2, rereads: 2, terminations: 1, audits: 1 },
    slots: Infinity,
  },
  {
    orders: [{ ...calm(FIRST), attemptsMax: 2 }, calm(RIVAL)],
    trouble: { ...NO_TROUBLE, retentions: 2, lostRecords: 1, losses: 1, audits: 1 },
    slots: Infinity,
  },
  {
    orders: [calm(FIRST), calm(RIVAL)],
    trouble: { ...NO_TROUBLE, losses: 1 },
    slots: Infinity,
  },
  {
    // A sick item beside a well one, and a worker with a single slot.
    orders: [calm(FIRST), { ...calm(RIVAL), item: 'Y' }],
    trouble: { ...NO_TROUBLE, losses: 1, sicknesses: 2 },
    slots: 1,
  },
  {
    orders: [FIRST, RIVAL],
    trouble: {
      ...NO_TROUBLE,
      retentions: 2,
      rereads: 1,
      lostRecords: 1,
      losses: 1,
      sicknesses: 1,
      terminations: 1,
      audits: 1,
    },
    slots: 1,
  },
];

const paying = (plan: OrderPlan): OrderPlan => ({ ...plan, pays: true });

/** A sale whose buyers pay themselves. */
export const CHECKOUT: readonly Scenario[] = [
  {
    orders: [paying({ ...FIRST, attemptsMax: 1 }), paying(RIVAL)],
    trouble: NO_TROUBLE,
    slots: Infinity,
  },
  {
    // The sale was changed between the two.
    orders: [paying({ ...FIRST, attemptsMax: 2, runsMax: 3 }), calm(RIVAL)],
    trouble: { ...NO_TROUBLE, rereads: 1 },
    slots: Infinity,
  },
  {
    orders: [paying(calm(FIRST)), paying(calm(RIVAL))],
    trouble: { ...NO_TROUBLE, losses: 1 },
    slots: Infinity,
  },
];

const LEAVING: Trouble = { ...NO_TROUBLE, leaves: 2, archiveFaults: 1 };

/** Nobody else wants a unit. */
const NOBODY: OrderPlan = { ...undisturbed(RIVAL), attemptsMax: 0 };

/** What the days after a sale bring: finished orders leave the ledger. */
export const DAYS_AFTER: readonly Scenario[] = [
  {
    // Runs of one order, and their late steps.
    orders: [{ ...FIRST, attemptsMax: 1, cancelsMax: 0, beginsAccepted: true }, NOBODY],
    trouble: LEAVING,
    slots: Infinity,
  },
  {
    // The buyer asks again, also once its request_id is free for another order.
    orders: [{ ...undisturbed(FIRST), attemptsMax: 3, runsMax: 3, beginsAccepted: true }, NOBODY],
    trouble: { ...LEAVING, retentions: 2, rereads: 1 },
    slots: Infinity,
  },
  {
    orders: [{ ...calm(FIRST), attemptsMax: 2 }, calm(RIVAL)],
    trouble: { ...LEAVING, retentions: 1 },
    slots: Infinity,
  },
  {
    orders: [FIRST, RIVAL],
    trouble: { ...LEAVING, retentions: 2, rereads: 1 },
    slots: Infinity,
  },
];
