/*
  Records the history of every path that has none yet, from orders on the real components of this run:

    RECORD_HISTORIES=1 npm test

  Do it when a path is added. A history that is there is the past of orders that may still be open, so it is left alone:
  remove its file first, which is right only when no such order can be alive any more.
*/
import { WorkflowFailedError } from '@temporalio/client';
import { useSaga } from '../support/saga';
import { historyOf, outcomeOf, recordedHistories, stepsOf, writeHistory } from './history-file';
import { REGULAR_PATHS } from './paths';
import { AWAITING_PAYMENT_PATHS } from './paths-awaiting-payment';
import { AT_ONCE_PATHS } from './paths-at-once';
import { PARKED_PATHS } from './paths-parked';
import { SOLD_AT_ONCE_PATHS } from './paths-sold-at-once';
import { WITH_EVENTS_PATHS } from './paths-with-events';

const saga = useSaga();

const paths = {
  ...REGULAR_PATHS,
  ...AT_ONCE_PATHS,
  ...PARKED_PATHS,
  ...SOLD_AT_ONCE_PATHS,
  ...WITH_EVENTS_PATHS,
  ...AWAITING_PAYMENT_PATHS,
};
const missing = Object.entries(paths).filter(([name]) => !recordedHistories().includes(name));

test.each(missing)('record %s', async (name, { steps, outcome, drive }) => {
  const handle = await drive(saga, name);
  await handle.result().catch((error: unknown) => {
    if (!(error instanceof WorkflowFailedError)) throw error;
  });
  const history = await historyOf(handle);
  expect({ steps: stepsOf(history), outcome: outcomeOf(history) }).toEqual({ steps, outcome });
  writeHistory(name, history);
});
