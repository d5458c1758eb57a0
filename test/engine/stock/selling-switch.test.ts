import { pino } from 'pino';
import { register } from 'prom-client';
import {
  watchSelling,
  type SellingState,
  type SellingWatch,
} from '../../../engine/stock/selling-switch';

const state = (stopped: boolean): SellingState => ({
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
    restore: (lost: SellingState) => orAway(() => void (redis.state ??= lost)),
  };
}

let watch: SellingWatch;
const start = async (found: ReturnType<typeof aSwitch>) => {
  watch = await watchSelling(found, pino({ level: 'silent' }), 0);
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
  found.redis.state = state(false);
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
  watch = await watchSelling({ ...found, read }, pino({ level: 'silent' }));
  expect(watch.standing()).toBe('stopped');
});

test('a stop that Redis has lost holds, and is written again for gateways that start later', async () => {
  const found = aSwitch(state(true));
  const { standing, refresh } = await start(found);
  found.redis.state = undefined;
  await refresh();
  expect([standing(), found.redis.state]).toEqual(['stopped', state(true)]);
  found.redis.state = state(false);
  await refresh();
  expect(standing()).toBe('selling');
});
