import { createPacedRetries } from '../../activities/order-activities';

const MINUTE_MS = 60_000;
const LATE = 9;

describe('the retries of parked orders', () => {
  let now = 0;
  const random = { value: 1 };
  const paced = () => {
    const delayAfter = createPacedRetries(
      () => now,
      () => random.value,
    );
    return (attempt: number, item = 'sick') => delayAfter(item, attempt);
  };
  beforeEach(() => {
    now = 0;
  });

  test('keep the delays of their step while these are short', () => {
    const delayAfter = paced();
    expect([1, 2, 8].map((attempt) => delayAfter(attempt))).toEqual([
      ...[undefined, undefined, undefined],
    ]);
  });

  test('are a minute apart while there are few of them', () => {
    const delayAfter = paced();
    const delays = Array.from({ length: 200 }, () => {
      now += 300;
      return delayAfter(LATE);
    });
    expect(new Set(delays)).toEqual(new Set([MINUTE_MS]));
  });

  test('are no more than five a second, however many fail at once', () => {
    const delayAfter = paced();
    const times = Array.from({ length: 1_000 }, () => delayAfter(LATE) ?? 0).sort((a, b) => a - b);
    const inSecond = (from: number) => times.filter((at) => at >= from && at < from + 1_000).length;
    expect(Math.max(...times.map(inSecond))).toBe(5);
    expect(times[0]).toBe(MINUTE_MS);
  });

  test('are at most ten minutes apart', () => {
    const delayAfter = paced();
    const delays = Array.from({ length: 10_000 }, () => delayAfter(LATE) ?? 0);
    expect(Math.max(...delays)).toBe(10 * MINUTE_MS);
  });

  test('are close again once few are left', () => {
    const delayAfter = paced();
    for (let order = 0; order < 1_000; order++) delayAfter(LATE);
    now += 10 * MINUTE_MS;
    expect(delayAfter(LATE)).toBe(MINUTE_MS);
  });

  test('of one item do not wait for those of another', () => {
    const delayAfter = paced();
    for (let order = 0; order < 3_000; order++) delayAfter(LATE, 'sick');
    now += 1_000;
    expect(delayAfter(LATE, 'mended')).toBe(MINUTE_MS);
  });

  test('do not come back as a crowd where they are more than ten minutes can take', () => {
    const delayAfter = paced();
    const delays = Array.from({ length: 10_000 }, (_, order) => {
      random.value = order / 10_000;
      return delayAfter(LATE) ?? 0;
    });
    const perSecond = new Map<number, number>();
    for (const delay of delays) {
      const second = Math.floor(delay / 1_000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    expect(Math.max(...perSecond.values())).toBeLessThan(50);
  });
});
