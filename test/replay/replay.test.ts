import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { workflowBundle } from '../support/addresses';
import { installQuietRuntime } from '../support/quiet-runtime';
import {
  outcomeOf,
  readHistory,
  recordedHistories,
  stepOf,
  stepsOf,
  type History,
} from './history-file';
import { REGULAR_PATHS } from './paths';
import { AWAITING_PAYMENT_PATHS } from './paths-awaiting-payment';
import { AFTER_SALE_STEPS } from './paths-after-sale';
import { AT_ONCE_PATHS } from './paths-at-once';
import { PARKED_PATHS } from './paths-parked';
import { SOLD_AT_ONCE_PATHS } from './paths-sold-at-once';
import { WITH_EVENTS_PATHS } from './paths-with-events';
import { without, withSwapped } from './tampered';

/** Every path through the workflow, by the name of its file in histories/. */
const PATHS = {
  ...REGULAR_PATHS,
  ...AT_ONCE_PATHS,
  ...PARKED_PATHS,
  ...SOLD_AT_ONCE_PATHS,
  ...WITH_EVENTS_PATHS,
  ...AWAITING_PAYMENT_PATHS,
};

const STEPS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(Object.entries(PATHS).map(([name, { steps }]) => [name, steps])),
  ...AFTER_SALE_STEPS,
};
const NAMES = Object.keys(STEPS).sort();

beforeAll(installQuietRuntime);

const replay = (history: History) =>
  Worker.runReplayHistory({ workflowBundle: { codePath: workflowBundle() } }, history, 'order');

/** The error of the replay; undefined when the workflow matches the history. */
const replayError = async (history: History): Promise<unknown> => {
  try {
    await replay(history);
    return undefined;
  } catch (error) {
    return error;
  }
};

describe('the recorded histories', () => {
  test('are one for each path of the workflow, and no other', () => {
    expect(recordedHistories()).toEqual(NAMES);
  });

  test.each(NAMES)('name nothing of the machine that recorded them: %s', (name) => {
    const text = readFileSync(join(__dirname, 'histories', `${name}.json`), 'utf8');
    expect(text).not.toMatch(/\d+@|node_modules|\.[jt]s:\d+/);
  });

  test.each(Object.entries(PATHS))('close as their path does: %s', (name, { outcome }) => {
    expect(outcomeOf(readHistory(name))).toBe(outcome);
  });

  test('reach every reason that the workflow gives an order', () => {
    const outcomes = [...new Set(Object.values(PATHS).map(({ outcome }) => outcome))].sort();
    expect(outcomes).toEqual([
      ...['cancelled', 'confirmed', 'late-payment', 'payment-declined', 'payment-unknown'],
      ...['request-id-reused', 'sale-lost', 'sold-out'],
    ]);
  });
});

describe.each(Object.entries(STEPS))('the path %s', (name, steps) => {
  const history = readHistory(name);

  test('replays under the present workflow', async () => {
    expect(stepsOf(history)).toEqual(steps);
    await replay(history);
  });

  test('does not replay without its last step', async () => {
    const last = history.events.filter((event) => stepOf(event) !== undefined).at(-1);
    if (!last) throw new Error(`${name} has no step`);
    expect(await replayError(without(history, last))).toBeInstanceOf(DeterminismViolationError);
  });
});

describe('a changed workflow', () => {
  test.each([
    ['that refunds before it releases', 'sale-lost', 'releaseStock', 'refundPayment'],
    [
      'that charges before it has refunded',
      'confirmed-once-an-earlier-generation-is-settled',
      'refundPayment',
      'chargePayment',
    ],
    ['that writes the dead letter first', 'payment-unknown', 'releaseStock', 'deadLetter'],
  ])('%s is found out', async (_, name, one, other) => {
    const tampered = withSwapped(readHistory(name), one, other);
    expect(await replayError(tampered)).toBeInstanceOf(DeterminismViolationError);
  });
});
