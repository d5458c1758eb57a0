import { EventEmitter } from 'node:events';
import type { Consumer } from 'kafkajs';
import { watchConsumer } from '../../../engine/kafka/consumer';

const events = {
  FETCH: 'fetch',
  HEARTBEAT: 'heartbeat',
  GROUP_JOIN: 'join',
  CRASH: 'crash',
  STOP: 'stop',
  DISCONNECT: 'disconnect',
};

/** A consumer whose events the test emits. */
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
  test('reports a crash without a restart', () => {
    const { deaths, crash } = watched();
    crash(false);
    expect(deaths).toEqual(['the Kafka consumer has crashed for good']);
  });

  test('reports the fifth crash in a row', () => {
    const { deaths, crash } = watched();
    for (let i = 0; i < 4; i++) crash(true);
    expect(deaths).toEqual([]);
    crash(true);
    expect(deaths).toHaveLength(1);
  });

  test('counts crashes from the last join', () => {
    const { deaths, crash, emitter } = watched();
    for (let i = 0; i < 4; i++) crash(true);
    emitter.emit('join');
    for (let i = 0; i < 4; i++) crash(true);
    expect(deaths).toEqual([]);
  });

  test('counts a member that hears nothing of Kafka as none', () => {
    const { watchdog, emitter } = watched();
    emitter.emit('join');
    jest.advanceTimersByTime(5_000);
    expect(watchdog.joined).toBe(true);
    jest.advanceTimersByTime(1_000);
    expect(watchdog.joined).toBe(false);
    emitter.emit('fetch');
    expect(watchdog.joined).toBe(true);
  });

  test('reports forty seconds without a fetch or a heartbeat', () => {
    const { deaths, emitter } = watched();
    emitter.emit('join');
    jest.advanceTimersByTime(30_000);
    emitter.emit('heartbeat');
    jest.advanceTimersByTime(40_000);
    expect(deaths).toEqual([]);
    jest.advanceTimersByTime(1_000);
    expect(deaths).toHaveLength(1);
  });

  test('reports once, and not after a stop', () => {
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

  test('knows whether the consumer is a member of its group', () => {
    const { watchdog, emitter, crash } = watched();
    expect(watchdog.joined).toBe(false);
    emitter.emit('join');
    expect(watchdog.joined).toBe(true);
    crash(true);
    expect(watchdog.joined).toBe(false);
    watchdog.stop();
  });
});
