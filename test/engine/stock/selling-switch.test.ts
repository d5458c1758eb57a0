import { setImmediate } from 'node:timers/promises';
import { pino } from 'pino';
import { register } from 'prom-client';
import {
  parseSellingState,
  watchSelling,
  type SellingState,
  type SellingWatch,
} from '../../../engine/stock/selling-switch';
import { eventually } from '../../support/eventually';

const state = (stopped: boolean, revision = 1): SellingState => ({
  revision,
  stopped,
  at: '2026-11-24T10:00:00.000Z',
  by: 'ann',
  why: 'the price is wrong',
});

/** The switch in a Redis that can be away, or lost. */
function aSwitch(initial?: SellingState) {
  const redis = { state: initial, isAway: false };
  const orAway = <T>(value: () => T) =>
    redis.isAway ? Promise.reject(new Error('no answer')) : Promise.resolve(value());
  return {
    redis,
    read: () => orAway(() => redis.state),
    restore: (lost: SellingState) => orAway(() => void (redis.state = lost)),
  };
}

const silent = pino({ level: 'silent' });

let watch: SellingWatch;
const start = async (found: ReturnType<typeof aSwitch>) => {
  watch = await watchSelling(found, () => Promise.resolve(undefined), silent, {
    firstReadMsMax: 0,
  });
  // The record is read beside the switch.
  await setImmediate();
  return watch;
};
afterEach(() => {
  watch.stop();
});
const metric = async (name: string) =>
  (await register.getSingleMetric(name)?.get())?.values[0]?.value;

test('a gateway follows the switch', async () => {
  const found = aSwitch();
  const { standing, refresh, warnings } = await start(found);
  expect([standing(), warnings()]).toEqual(['selling', []]);
  found.redis.state = state(true);
  await refresh();
  expect(standing()).toBe('stopped');
  expect(warnings()).toEqual([
    'all selling is stopped since 2026-11-24T10:00:00.000Z: no purchases are accepted',
  ]);
  expect(await metric('flash_sale_selling_stopped')).toBe(1);
  found.redis.state = state(false, 2);
  await refresh();
  expect([standing(), warnings()]).toEqual(['selling', []]);
  expect(await metric('flash_sale_selling_stopped')).toBe(0);
});

test.each([true, false])(
  'the last state holds while Redis is away: stopped %p',
  async (stopped) => {
    const found = aSwitch(state(stopped));
    const { standing, refresh, warnings } = await start(found);
    const faults = (await metric('flash_sale_selling_switch_faults_total')) ?? 0;
    found.redis.isAway = true;
    await refresh();
    expect(standing()).toBe(stopped ? 'stopped' : 'selling');
    expect(warnings()).toContain('the switch of selling cannot be read: its last state holds');
    expect(await metric('flash_sale_selling_switch_faults_total')).toBe(faults + 1);
    found.redis.isAway = false;
    await refresh();
    expect(warnings().join()).not.toContain('cannot be read');
  },
);

test('a gateway that starts while Redis is away sells nothing until it has read the switch', async () => {
  const found = aSwitch(state(true));
  found.redis.isAway = true;
  const { standing, refresh, warnings } = await start(found);
  expect(standing()).toBe('unknown');
  expect(warnings()).toEqual(['the switch of selling cannot be read: no purchases are accepted']);
  found.redis.isAway = false;
  await refresh();
  expect(standing()).toBe('stopped');
});

test('a gateway waits for its connection to Redis before it says what it knows', async () => {
  const found = aSwitch(state(true));
  let reads = 0;
  const read = () => (++reads < 3 ? Promise.reject(new Error('not connected')) : found.read());
  watch = await watchSelling({ ...found, read }, () => Promise.resolve(undefined), silent);
  expect(watch.standing()).toBe('stopped');
});

describe('a state that Redis has lost', () => {
  test.each([
    ['a stop', state(true, 5), state(false, 4)],
    ['a stop, the only state there was', state(true, 5), undefined],
    ['the end of a stop', state(false, 5), state(true, 4)],
  ])('holds, and is written again: %s', async (_, lost, older) => {
    const found = aSwitch(lost);
    const { standing, refresh } = await start(found);
    const before = standing();
    found.redis.state = older;
    await refresh();
    expect([standing(), found.redis.state]).toEqual([before, lost]);
    found.redis.state = state(!lost.stopped, 6);
    await refresh();
    expect(standing()).not.toBe(before);
  });

  test('is found in the record by a gateway that starts afterwards', async () => {
    const found = aSwitch(state(false, 4));
    const asked: number[] = [];
    const readRecord = (sinceRevision: number) => {
      asked.push(sinceRevision);
      return Promise.resolve(state(true, 5));
    };
    watch = await watchSelling(found, readRecord, silent);
    await watch.refresh();
    await watch.refresh();
    expect([watch.standing(), found.redis.state, asked]).toEqual(['stopped', state(true, 5), [4]]);
  });

  test('holds where this process has made it, though Redis loses it before the next look', async () => {
    const found = aSwitch(state(false, 4));
    const { standing, follow, refresh } = await start(found);
    follow(state(true, 5));
    expect(standing()).toBe('stopped');
    await refresh();
    expect([standing(), found.redis.state]).toEqual(['stopped', state(true, 5)]);
  });

  test('is reported once, also while Redis does not take it back', async () => {
    const found = aSwitch(state(true, 5));
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => lines.push(line) });
    const restore = jest.fn(() => Promise.reject(new Error('READONLY')));
    watch = await watchSelling({ ...found, restore }, () => Promise.resolve(undefined), logger);
    found.redis.state = undefined;
    for (let look = 0; look < 3; look++) await watch.refresh();
    expect([watch.standing(), restore.mock.calls.length]).toEqual(['stopped', 3]);
    expect(lines.filter((line) => line.includes('has lost'))).toHaveLength(1);
  });

  test('is not what the record has of a time before the state in Redis', async () => {
    const found = aSwitch(state(false, 6));
    watch = await watchSelling(found, () => Promise.resolve(state(true, 5)), silent);
    await watch.refresh();
    expect([watch.standing(), found.redis.state]).toEqual(['selling', state(false, 6)]);
  });
});

describe('a gateway that cannot read the record at its start', () => {
  test('sells nothing until it has read it', async () => {
    let recordIsRead: (none?: undefined) => void = () => undefined;
    const record = new Promise<undefined>((resolve) => (recordIsRead = resolve));
    watch = await watchSelling(aSwitch(state(false)), () => record, silent);
    expect(watch.standing()).toBe('unknown');
    recordIsRead();
    await eventually('it sells', () => watch.standing() === 'selling');
  });

  test('sells nothing while Kafka is away, however long', async () => {
    jest.useFakeTimers();
    try {
      const readRecord = () => Promise.reject(new Error('no answer'));
      watch = await watchSelling(aSwitch(state(false)), readRecord, silent);
      await jest.advanceTimersByTimeAsync(60_000);
      expect(watch.standing()).toBe('unknown');
      watch.limitRecord();
      await jest.advanceTimersByTimeAsync(60_000);
      expect(watch.standing()).toBe('selling');
    } finally {
      jest.useRealTimers();
    }
  });

  test('sells nothing while it reads a long record', async () => {
    jest.useFakeTimers();
    try {
      let progress: () => void = () => undefined;
      const readRecord = (_since: number, onProgress: () => void) => {
        progress = onProgress;
        return new Promise<undefined>(() => undefined);
      };
      watch = await watchSelling(aSwitch(state(false)), readRecord, silent);
      watch.limitRecord();
      for (let second = 0; second < 60; second++) {
        progress();
        await jest.advanceTimersByTimeAsync(1_000);
      }
      expect(watch.standing()).toBe('unknown');
      await jest.advanceTimersByTimeAsync(60_000);
      expect(watch.standing()).toBe('selling');
    } finally {
      jest.useRealTimers();
    }
  });

  test('sells after a time, as Redis has it, warns, and goes on trying', async () => {
    let isAway = true;
    const readRecord = () =>
      isAway ? Promise.reject(new Error('no answer')) : Promise.resolve(state(true, 5));
    watch = await watchSelling(aSwitch(state(false)), readRecord, silent, { recordMsMax: 0 });
    watch.limitRecord();
    await eventually('it sells', () => watch.standing() === 'selling');
    expect(watch.warnings().join()).toMatch(/recorded states.*cannot be read: .*as Redis has it/);
    isAway = false;
    await eventually('it is stopped', () => watch.standing() === 'stopped');
    expect(watch.warnings().join()).not.toContain('recorded states');
  });
});

test.each([
  [{ stopped: true, at: '2026-11-24T10:00:00.000Z', by: 'ann', why: '' }, 1_795_514_400_000],
  [{ stopped: true, at: 'some time', by: 'ann', why: '' }, undefined],
  [{ stopped: true, at: 'x', by: 'ann', why: '', revision: 3 }, 3],
  [{ stopped: false, at: 'x', by: 'ann', why: null, revision: 3 }, 3],
  [{ stopped: true, at: 'x', by: 'ann', why: '', revision: 1e13 }, undefined],
  [{ stopped: 'yes' }, undefined],
  [null, undefined],
])('the revision of %j is %p', (value, revision) => {
  expect(parseSellingState(value)?.revision).toBe(revision);
});
