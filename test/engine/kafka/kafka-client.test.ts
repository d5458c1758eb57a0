import { createRequire } from 'node:module';
import { createKafka } from '../../../engine/kafka/kafka-client';

interface Queue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  scheduleCheckPendingRequests(): void;
  checkPendingRequests(): void;
}

/** kafkajs's request queue after createKafka has patched it, with `fields` set. */
function queueWith(fields: Partial<Queue>) {
  createKafka('test', ['127.0.0.1:1']);
  const load = createRequire(__filename);
  const { prototype } = load('kafkajs/src/network/requestQueue') as { prototype: Queue };
  const calls = { checks: 0 };
  const queue = Object.assign(Object.create(prototype) as Queue, {
    pending: [],
    throttledUntil: -1,
    throttleCheckTimeoutId: null,
    checkPendingRequests: () => calls.checks++,
    ...fields,
  });
  return { queue, calls };
}

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

describe('createKafka', () => {
  test('sets no timer for an idle connection', () => {
    const { queue } = queueWith({});
    queue.scheduleCheckPendingRequests();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('checks waiting requests with one timer', () => {
    const { queue, calls } = queueWith({ pending: ['a request'] });
    queue.scheduleCheckPendingRequests();
    queue.scheduleCheckPendingRequests();
    jest.advanceTimersByTime(1_000);
    expect(calls.checks).toBe(1);
  });

  test('checks after the end of a throttle', () => {
    const { queue, calls } = queueWith({ throttledUntil: Date.now() + 500 });
    queue.scheduleCheckPendingRequests();
    jest.advanceTimersByTime(499);
    expect(calls.checks).toBe(0);
    jest.advanceTimersByTime(1);
    expect(calls.checks).toBe(1);
  });
});
