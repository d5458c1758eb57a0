import { createBatcher } from '../../api/buy/batcher';

describe('a batcher', () => {
  const doubling = (batches: number[][] = [], turns: 1 | 2 = 1) => ({
    batches,
    double: createBatcher<number, number>({
      run: (items) => {
        batches.push([...items]);
        return Promise.resolve(items.map((item) => 2 * item));
      },
      deadlineMs: 1_000,
      sizeMax: 4,
      turns,
    }),
  });

  test('sends the calls of one turn together and gives each its own answer', async () => {
    const { batches, double } = doubling();
    expect(await Promise.all([1, 2, 3].map(double))).toEqual([2, 4, 6]);
    expect(batches).toEqual([[1, 2, 3]]);
  });

  test.each([
    [1, [[1], [2]]],
    [2, [[1, 2]]],
  ] as const)('that gathers for %i turns sends %j', async (turns, expected) => {
    const { batches, double } = doubling([], turns);
    const first = double(1);
    await new Promise(setImmediate);
    expect(await Promise.all([first, double(2)])).toEqual([2, 4]);
    expect(batches).toEqual(expected);
  });

  test('sends no more than the bound at once, and nobody twice', async () => {
    const { batches, double } = doubling();
    await Promise.all([1, 2, 3, 4, 5, 6, 7, 8, 9].map(double));
    expect(batches).toEqual([[1, 2, 3, 4], [5, 6, 7, 8], [9]]);
  });

  test('gives everybody the error of a round trip that fails or takes too long', async () => {
    const failing = createBatcher({
      run: () => Promise.reject(new Error('gone')),
      deadlineMs: 1_000,
    });
    const hanging = createBatcher({
      run: () => new Promise<never>(() => undefined),
      deadlineMs: 10,
    });
    expect(await Promise.all([failing(1), failing(2)])).toEqual([
      new Error('gone'),
      new Error('gone'),
    ]);
    expect(await hanging(1)).toEqual(new Error('No answer within 10 ms'));
  });

  test('gives an error to who was left without an answer', async () => {
    const short = createBatcher({ run: () => Promise.resolve(['a']), deadlineMs: 1_000 });
    const [first, second] = await Promise.all([short(1), short(2)]);
    expect(first).toBe('a');
    expect(second).toBeInstanceOf(Error);
  });
});
