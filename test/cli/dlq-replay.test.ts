import { aFailedOrder, anUnreadable, at, marked, order } from './letters';
import { aWorld, ids, READ_AT, record } from './replay-world';

describe('a failed order', () => {
  test('is started from the original bytes as ingest would, with who and why', async () => {
    const original = Buffer.from(JSON.stringify({ ...record('a'), more: 'than we know' }));
    const letter = aFailedOrder('a', { value: original });
    const world = aWorld([letter]);
    expect(await world.run(ids('a'))).toBe(0);
    expect(world.starts).toMatchObject([
      {
        input: { order: order('a'), source: letter.source, original: original.toString() },
        replay: { by: 'ann', why: 'renewed', letterId: letter.id },
      },
    ]);
  });

  test('is recorded with what came of each order, unless nothing is done', async () => {
    const world = aWorld([aFailedOrder('a')]);
    await world.run({ ids: ['a'], dryRun: true });
    expect(world.actions).toEqual([]);
    await world.run(ids('a'));
    expect(world.actions).toMatchObject([
      {
        action: 'dead-letters.replay',
        why: 'renewed',
        request: { ids: ['a'] },
        outcome: 'done',
        after: { orders: [{ request_id: 'a', outcome: 'started' }], left: 0 },
      },
    ]);
  });

  test('has its letters marked, all that are open, with the new run', async () => {
    const older = aFailedOrder('a', { id: 'a:run-0', at: at(1) });
    const done = marked(aFailedOrder('a', { id: 'a:run-00', at: at(0) }), 'replayed');
    const newer = aFailedOrder('a', { at: at(2) });
    const world = aWorld([done, older, newer]);
    await world.run(ids('a'));
    expect(world.marks).toEqual(
      ['a:run-0', 'a:a-run'].map((letterId) => ({
        letterId,
        kind: 'replayed',
        by: 'ann',
        why: 'renewed',
        at: READ_AT,
        runId: 'a-run-2',
      })),
    );
    expect(world.starts).toHaveLength(1);
  });

  test('can be named by its letter id', async () => {
    const world = aWorld([aFailedOrder('a'), aFailedOrder('b')]);
    expect((await world.outcomes(ids('b:b-run'))).outcomes).toEqual(['b:b-run started']);
  });

  test.each([
    ['sold', 'it has been sold since: nothing was done', 0],
    ['running', 'it is running already: nothing was done', 0],
    ['cancelled', 'it was cancelled since: it is left alone', 1],
    ['other-order', 'its id belongs to another order', 1],
  ] as const)('that is %s by now is skipped and reported', async (kind, says, code) => {
    const world = aWorld([aFailedOrder('a')], { a: { kind } });
    expect(await world.run(ids('a'))).toBe(code);
    expect(world.starts).toEqual([]);
    expect(world.terminal.written()).toContain(says);
  });

  test('keeps its claim before it is started, and is not started when another request has its id', async () => {
    const world = aWorld([aFailedOrder('a'), aFailedOrder('b')]);
    world.claims.add('b');
    const { code, outcomes } = await world.outcomes(ids('a', 'b'));
    expect([code, outcomes]).toEqual([1, ['a:a-run started', 'b:b-run other-order']]);
    expect(world.starts.map(({ input }) => input.order.requestId)).toEqual(['a']);
    expect(world.claimed).toEqual(['a']);
  });

  test('that is sold has its letters dealt with', async () => {
    const world = aWorld([aFailedOrder('a')], { a: { kind: 'sold' } });
    await world.run(ids('a'));
    expect(world.marks).toMatchObject([{ kind: 'sold', letterId: 'a:a-run' }]);
  });

  test('that another replay has tried since the letters were read is not tried a second time', async () => {
    const failed = (closedAt: number) => ({ kind: 'failed', runId: 'later', closedAt }) as const;
    const beaten = aWorld([aFailedOrder('a')], { a: failed(READ_AT + 1) });
    expect((await beaten.outcomes(ids('a'))).outcomes).toEqual(['a:a-run failed-again']);
    // A run that had ended before without a letter, terminated by hand: there is nothing to wait for.
    const ended = aWorld([aFailedOrder('a')], { a: failed(READ_AT - 1) });
    expect((await ended.outcomes(ids('a'))).outcomes).toEqual(['a:a-run started']);
  });

  test('that Temporal has forgotten is started afresh', async () => {
    const world = aWorld([aFailedOrder('a')], { a: { kind: 'none' } });
    expect((await world.outcomes(ids('a'))).outcomes).toEqual(['a:a-run started']);
  });
});

describe('many failed orders', () => {
  const five = [1, 2, 3, 4, 5].map((n) => aFailedOrder(`r${n}`, { at: at(n) }));

  test('are taken by filter, the oldest first, up to --max', async () => {
    const odd = aFailedOrder('odd', { reason: 'sold-out', at: at(0) });
    const world = aWorld([...five].reverse().concat(odd));
    const filter = { reason: 'payment-declined', since: at(2), max: 2 } as const;
    expect((await world.outcomes(filter)).outcomes).toEqual([
      'r2:r2-run started',
      'r3:r3-run started',
    ]);
  });

  test('are started no faster than --rate', async () => {
    const world = aWorld(five);
    await world.run({ rate: 4 });
    expect(world.starts.map((start) => start.at - READ_AT)).toEqual([0, 250, 500, 750, 1000]);
  });

  test('are continued after a break: what has been started is not started again', async () => {
    const world = aWorld(five);
    world.state.faultAt = 'r3';
    await expect(world.run()).rejects.toThrow(
      /Temporal gives no answer.*order 3 of 5, r3.*goes on/,
    );
    expect(world.starts).toHaveLength(2);
    world.state.faultAt = '';
    await world.run();
    expect(world.starts.map(({ input }) => input.order.requestId)).toEqual(
      five.map(({ requestId }) => requestId),
    );
  });

  test('are only listed with --dry-run, which needs no reason', async () => {
    const world = aWorld(five, { r1: { kind: 'sold' } });
    const { outcomes } = await world.outcomes({ dryRun: true, why: undefined, max: 2 });
    expect(outcomes).toEqual(['r1:r1-run sold', 'r2:r2-run would-start', 'r3:r3-run would-start']);
    expect([world.starts, world.marks]).toEqual([[], []]);
  });

  test('show on one line how far they are, where somebody watches', async () => {
    const world = aWorld(five, { r1: { kind: 'sold' } });
    world.state.isWatched = true;
    await world.run();
    expect(world.terminal.faults()).toMatch(
      /\r\[#+-+\] 1 of 5, 0 started +\r\[#+-+\] 2 of 5, 1 started[^]*\[#+\] 5 of 5.*\n$/,
    );
    expect(world.terminal.written()).toContain('1 sold, 4 started.');
  });

  test('leave out what cannot be tried and what has been dealt with, and say how many are left', async () => {
    const world = aWorld([
      ...[anUnreadable(), aFailedOrder('x', { reason: 'request-id-reused' })],
      ...[marked(aFailedOrder('y'), 'replayed'), marked(aFailedOrder('z'), 'discarded'), ...five],
    ]);
    expect(await world.run({ max: 3 })).toBe(0);
    expect(world.starts).toHaveLength(3);
    const text = world.terminal.written();
    expect(text).toContain('1 unreadable (each takes --mended), 1 under the id of another order');
    expect(text).toContain('2 more are left');
  });

  test('may be none', async () => {
    const world = aWorld([]);
    expect(await world.run()).toBe(0);
    expect(world.terminal.written()).toBe('No dead letters to replay.\n');
  });
});

describe('nothing is done, and one sentence says why,', () => {
  test.each([
    ['an unknown id', { ids: ['a', 'nobody'] }, /No dead letter has .* nobody/],
    ['a discarded letter', { ids: ['gone'] }, /gone was discarded by bob/],
    ['no reason', { ids: ['a'], why: undefined }, /--why/],
    ['an empty reason', { ids: ['a'], why: ' ' }, /--why/],
    ['an endless reason', { ids: ['a'], why: 'x'.repeat(501) }, /at most 500/],
    ['times the wrong way round', { since: at(2), until: at(1) }, /since is later/],
    ['--mended for two', { ids: ['a', 'b'], mended: 'x.json' }, /exactly one/],
    ['--mended for a good record', { ids: ['a'], mended: 'x.json' }, /only an unreadable one/],
    ['a mended file that is not there', { ids: ['bad'], mended: '/no/file' }, /Cannot read/],
  ])('for %s', async (_name, options, sentence) => {
    const gone = marked(aFailedOrder('gone'), 'discarded');
    const world = aWorld([aFailedOrder('a'), gone, anUnreadable('bad')]);
    const fault = await world.run(options).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(Error);
    expect((fault as Error).message).toMatch(sentence);
    expect([world.starts, world.marks, world.appended]).toEqual([[], [], []]);
  });

  test('a discarded letter is replayed all the same with --all', async () => {
    const world = aWorld([marked(aFailedOrder('gone'), 'discarded')]);
    const { outcomes } = await world.outcomes({ ...ids('gone'), all: true });
    expect(outcomes).toEqual(['gone:gone-run started']);
  });
});
