import { EventEmitter } from 'node:events';
import type { Consumer } from 'kafkajs';
import { watchConsumer } from '../../../engine/kafka/consumer';

const events = {
  ...{ FETCH: 'fetch', HEARTBEAT: 'heartbeat', GROUP_JOIN: 'join', CRASH: 'crash' },
  ...{ STOP: 'stop', DISCONNECT: 'disconnect' },
};

/** A consumer that says what the test makes it say. */
function watched() {
  const emitter = new EventEmitter();
  const consumer = { events, on: emitter.on.bind(emitter) } as unknown as Consumer;
  const deaths: string[] = [];
  const watchdog = watchConsumer(consumer, ({ message }) => deaths.push(message));
  const crash = (restart: boolean) =>
    emitter.emit('crash', { payload: { restart, error: new Error('no broker') } });
  return { watchdog, deaths, emitter, crash };
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

describe('watchConsumer', () => {
  test('gives up on a consumer that has crashed without a restart', () => {
    const { deaths, crash } = watched();
    crash(false);
    expect(deaths).toEqual(['the Kafka consumer has crashed for good']);
  });

  test('gives up at the fifth crash in a row', () => {
    const { deaths, crash } = watched();
    for (let i = 0; i < 4; i++) crash(true);
    expect(deaths).toEqual([]);
    crash(true);
    expect(deaths).toHaveLength(1);
  });

  test('forgives the crashes before a join', () => {
    const { deaths, crash, emitter } = watched();
    for (let i = 0; i < 4; i++) crash(true);
    emitter.emit('join');
    for (let i = 0; i < 4; i++) crash(true);
    expect(deaths).toEqual([]);
  });

  test('gives up after forty seconds without a fetch or a heartbeat', () => {
    const { deaths, emitter } = watched();
    emitter.emit('join');
    jest.advanceTimersByTime(30_000);
    emitter.emit('heartbeat');
    jest.advanceTimersByTime(40_000);
    expect(deaths).toEqual([]);
    jest.advanceTimersByTime(1_000);
    expect(deaths).toHaveLength(1);
  });

  test('speaks once, and not at all after a stop', () => {
    const { deaths, crash, watchdog } = watched();
    crash(false);
    crash(false);
    jest.advanceTimersByTime(120_000);
    expect(deaths).toHaveLength(1);

    const stopped = watched();
    stopped.watchdog.stop();
    stopped.crash(false);
    jest.advanceTimersByTime(120_000);
    expect(stopped.deaths).toEqual([]);
    watchdog.stop();
  });

  test('says whether the consumer is a member of its group', () => {
    const { watchdog, emitter, crash } = watched();
    expect(watchdog.joined).toBe(false);
    emitter.emit('join');
    expect(watchdog.joined).toBe(true);
    crash(true);
    expect(watchdog.joined).toBe(false);
    watchdog.stop();
  });
});
