import { progressBar } from '../../cli/output/progress-bar';

test.each([
  [0, 4, 0],
  [1, 4, 6],
  [4, 4, 24],
  [0, 0, 24],
])('%i of %i fills %i places of twenty-four', (done, total, filled) => {
  const bar = progressBar(done, total);
  expect([bar.length, bar.split('#').length - 1]).toEqual([26, filled]);
});
