import { recordsBehind } from '../../../engine/reconciliation/archive-lag';

const ENDS = [
  { partition: 0, low: 5n, high: 9n },
  { partition: 1, low: 0n, high: 0n },
];

/** How many records are missing after so many looks at the positions, the last of which stays. */
function behind(positions: readonly (readonly [number, bigint][])[], waitMsMax: number) {
  let looks = 0;
  const archive = {
    positions: () =>
      Promise.resolve(new Map(positions[Math.min(looks++, positions.length - 1)] ?? [])),
  };
  return recordsBehind({ archive, logEnds: () => Promise.resolve(ENDS) }, ['orders'], waitMsMax);
}

describe('the records that the archive does not have', () => {
  test('are those between its position and the end of the log', async () => {
    expect(await behind([[[0, 7n]]], 0)).toBe(2);
  });

  test('are all that the log still has where nothing was archived', async () => {
    expect(await behind([[]], 0)).toBe(4);
  });

  test('are waited for', async () => {
    expect(await behind([[], [[0, 8n]], [[0, 9n]]], 60_000)).toBe(0);
  });

  test('are all of a log that was replaced by a shorter one', async () => {
    expect(await behind([[[0, 20n]]], 0)).toBe(4);
  });
});
