import { raiseRetention, runsKeptMs } from '../../../engine/orders/run-retention';

const DAY = 86_400_000;
const RAISED_AT = 1_700_000_000_000;

describe('how long the runs of orders are known', () => {
  test('is the retention where it was never raised', () => {
    expect(runsKeptMs({ keptMs: 7 * DAY, data: {} }, RAISED_AT)).toBe(7 * DAY);
  });

  test.each([
    ['the shorter one at first', 0, 1],
    ['back to when it was raised, later', 3, 3],
    ['the longer one in the end', 8, 7],
  ])('is %s', (_, daysLater, days) => {
    const data = raiseRetention({ keptMs: DAY, data: {} }, RAISED_AT);
    const kept = runsKeptMs({ keptMs: 7 * DAY, data }, RAISED_AT + daysLater * DAY);
    expect(kept).toBe(days * DAY);
  });

  test('is not longer because the retention was raised twice', () => {
    const first = raiseRetention({ keptMs: DAY, data: {} }, RAISED_AT);
    const data = raiseRetention({ keptMs: 3 * DAY, data: first }, RAISED_AT + 1_000);
    expect(runsKeptMs({ keptMs: 7 * DAY, data }, RAISED_AT + 2_000)).toBe(DAY);
  });
});
