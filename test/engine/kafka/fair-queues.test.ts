import { createFairQueues } from '../../../engine/kafka/fair-queues';

const one = (queue: string, name: string, key?: string) => {
  return { queue, name, key };
};

const queuesOf = (...all: ReturnType<typeof one>[]) => {
  const queues = createFairQueues<ReturnType<typeof one>>();
  for (const waiting of all) queues.add(waiting);
  return queues;
};

/** Takes and ends all that may go, and answers their names. */
function drain(
  queues: ReturnType<typeof queuesOf>,
  mayGo: (first: { queue: string }) => boolean = () => true,
) {
  const names: string[] = [];
  for (let next = queues.take(mayGo); next; next = queues.take(mayGo)) {
    names.push(next.name);
    queues.done(next);
  }
  return names;
}

describe('createFairQueues', () => {
  test('serves the queues in turn, each in the order of arrival', () => {
    const hot = [1, 2, 3, 4].map((n) => one('hot', `hot ${n}`));
    const queues = queuesOf(...hot, one('quiet', 'quiet 1'), one('quiet', 'quiet 2'));
    expect(drain(queues)).toEqual(['hot 1', 'quiet 1', 'hot 2', 'quiet 2', 'hot 3', 'hot 4']);
    expect(queues.isEmpty).toBe(true);
  });

  test('passes over a queue that may not go', () => {
    const queues = queuesOf(one('hot', 'hot 1'), one('quiet', 'quiet 1'), one('quiet', 'quiet 2'));
    expect(drain(queues, ({ queue }) => queue !== 'hot')).toEqual(['quiet 1', 'quiet 2']);
    expect(queues.isEmpty).toBe(false);
    expect(drain(queues)).toEqual(['hot 1']);
  });

  test('holds back a key until the one before it is done, also in another queue', () => {
    const queues = queuesOf(one('a', 'first', 'key'), one('b', 'second', 'key'), one('b', 'other'));
    const first = queues.take(() => true);
    expect(first?.name).toBe('first');
    expect(queues.take(() => true)?.name).toBe('other');
    expect(queues.take(() => true)).toBeUndefined();
    if (first) queues.done(first);
    expect(drain(queues)).toEqual(['second']);
  });

  test('takes one that was put back before the others of its queue, and its key stays held', () => {
    const queues = queuesOf(one('a', 'first', 'key'), one('a', 'other'), one('a', 'second', 'key'));
    const first = queues.take(() => true);
    if (first) queues.putBack(first);
    expect(drain(queues)).toEqual(['first', 'other', 'second']);
  });

  test('keeps the order of a long queue that grows while it is served', () => {
    const queues = queuesOf();
    const wanted = Array.from({ length: 1_000 }, (_, n) => `n ${n}`);
    const taken: (string | undefined)[] = [];
    wanted.forEach((name, n) => {
      queues.add(one('a', name));
      if (n % 3 === 0) taken.push(queues.take(() => true)?.name);
    });
    expect([...taken, ...drain(queues)]).toEqual(wanted);
  });
});
