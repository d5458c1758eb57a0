import { createRefusalSums } from '../../api/buy/refusal-sums';
import type { RefusalSum } from '../../engine/archive/refusals';
import type { ItemId } from '../../engine/orders/order';

const [ITEM, OTHER] = ['101', '202'] as ItemId[] as [ItemId, ItemId];

function counting() {
  const clock = { ms: 1_000_000 };
  const sums = createRefusalSums(() => clock.ms);
  const written: RefusalSum[] = [];
  const write = (some: readonly RefusalSum[]) => {
    written.push(...some);
    return Promise.resolve();
  };
  return { clock, sums, written, write };
}

test('refusals are summed by item, reason and second', async () => {
  const { clock, sums, written, write } = counting();
  sums.count(ITEM, 'sold-out');
  sums.count(ITEM, 'sold-out');
  sums.count(ITEM, 'purchase-limit');
  clock.ms += 1_000;
  sums.count(OTHER, 'sold-out');
  await sums.flush(write);
  expect(written).toEqual([
    { itemId: ITEM, reason: 'sold-out', second: 1_000, requests: 2 },
    { itemId: ITEM, reason: 'purchase-limit', second: 1_000, requests: 1 },
  ]);
  await sums.flush(write, { all: true });
  expect(written.at(-1)).toEqual({ itemId: OTHER, reason: 'sold-out', second: 1_001, requests: 1 });
});

test('accepted purchases, and what is no refusal of a sale, are not counted', async () => {
  const { sums, written, write } = counting();
  sums.count(ITEM, undefined);
  sums.count(ITEM, 'invalid-request');
  sums.count(ITEM, 'not-accepted');
  await sums.flush(write, { all: true });
  expect(written).toEqual([]);
});

test('sums are kept while the archive is away, each is written once, and new ones may come meanwhile', async () => {
  const { clock, sums, written, write } = counting();
  sums.count(ITEM, 'sold-out');
  clock.ms += 1_000;
  await expect(sums.flush(() => Promise.reject(new Error('away')))).rejects.toThrow('away');
  await sums.flush(async (some) => {
    sums.count(ITEM, 'sold-out');
    clock.ms += 1_000;
    sums.count(ITEM, 'sale-nothing');
    await write(some);
  });
  await sums.flush(write);
  expect(written.map(({ second, requests }) => [second, requests])).toEqual([
    [1_000, 1],
    [1_001, 1],
  ]);
});

test('what waits is bounded: the oldest are given up, and that is told', async () => {
  const { clock, sums, written, write } = counting();
  for (let i = 0; i < 50_010; i += 1) {
    sums.count(ITEM, 'sold-out');
    clock.ms += 1_000;
  }
  await sums.flush(write);
  expect([written.length, sums.givenUp, written[0]?.second]).toEqual([50_000, 10, 1_010]);
});
