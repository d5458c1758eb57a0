import { noAnswer } from '../support/held-up';
import { drivesOf, isDeclined, nothingSpecial } from './drives';
import type { Path } from './path';

const { anOrderThat } = drivesOf((saga, order) =>
  saga.start(order, 'REJECT_DUPLICATE', { firstCharge: 'at-once', parking: true, events: true }),
);

/** Paths of an order whose outcome is published. */
export const WITH_EVENTS_PATHS: Readonly<Record<string, Path>> = {
  'with-events-sold-at-once': {
    steps: ['sellAtOnce'],
    outcome: 'confirmed',
    drive: anOrderThat(nothingSpecial),
  },
  'with-events-declined': {
    steps: ['sellAtOnce', 'releaseStock', 'deadLetter', 'publishOutcome'],
    outcome: 'payment-declined',
    drive: anOrderThat(isDeclined),
  },
  'with-events-and-no-answer-about-the-first': {
    steps: ['sellAtOnce', 'publishOutcome'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'before', 'publishOutcome', noAnswer);
    }),
  },
  'with-events-parked-until-they-are-written': {
    steps: ['sellAtOnce', 'publishOutcome', 'publishOutcome'],
    outcome: 'confirmed',
    drive: anOrderThat((saga, order) => {
      saga.onStep(order, 'before', 'publishOutcome', noAnswer, noAnswer);
    }),
  },
  'with-events-cancelled-by-its-buyer': {
    steps: ['sellAtOnce', 'publishOutcome'],
    outcome: 'cancelled',
    drive: anOrderThat((saga, order) => saga.ledger.cancel(order)),
  },
};
