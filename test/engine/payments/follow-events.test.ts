import type { FollowedEvents } from '../../../engine/orders/contract';
import { followEvents } from '../../../engine/payments/follow-events';
import type { PaymentEvent, PaymentHint } from '../../../engine/payments/payment-provider';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const NOW = 1_800_000_000_000;

const event = (id: string, at: number): PaymentEvent => {
  const hint: PaymentHint = { kind: 'paid', key: `${id}:o:1`, requestId: id, itemId: '101' };
  return { id, at, hint };
};

/** Follows a list in pages of two until it has been read to its end `rounds` times. */
async function follow(
  list: () => PaymentEvent[],
  { from, rounds = 1, act }: { from?: FollowedEvents; rounds?: number; act: (id: string) => void },
) {
  const ending = new AbortController();
  const failures: string[] = [];
  const progress: number[] = [];
  let ends = 0;
  const end = await followEvents(
    {
      events: {
        listEvents: (since) => {
          const rest = list().filter(({ at }) => at >= since);
          const page = rest.slice(0, 2);
          const next = rest[2]?.at;
          if (next === undefined) ends += 1;
          if (ends === rounds) {
            setTimeout(() => {
              ending.abort();
            }, 20);
          }
          return Promise.resolve({ events: page, ...(next !== undefined && { next }) });
        },
      },
      act: async ({ requestId }) => {
        await Promise.resolve();
        act(requestId);
        return 'run-asked';
      },
      onFailure: (id) => failures.push(id),
    },
    from,
    {
      everyMs: 1,
      signal: ending.signal,
      onProgress: ({ until }) => progress.push(until),
      now: () => NOW + MINUTE,
    },
  );
  return { end, failures, progress };
}

test('acts on each event once, page by page, also on one that appears behind a later one', async () => {
  const acted: string[] = [];
  const events = [event('a', NOW), event('b', NOW + 1), event('c', NOW + 2)];
  const { end } = await follow(
    () => (acted.includes('c') ? [event('late', NOW + 1), ...events] : events),
    { from: { until: NOW }, rounds: 4, act: (id) => acted.push(id) },
  );
  expect(acted).toEqual(['a', 'b', 'c', 'late']);
  expect(end).toEqual({ until: NOW + 2 });
});

test('goes back as far as providers keep events where nobody knows how far they were read', async () => {
  const acted: string[] = [];
  const events = [event('old', NOW - 29 * 24 * 60 * MINUTE), event('new', NOW)];
  await follow(() => events, { act: (id) => acted.push(id) });
  expect(acted).toEqual(['old', 'new']);
});

test('goes on from where it was, with what may have appeared since', async () => {
  const acted: string[] = [];
  const events = [
    event('before', NOW - 3 * MINUTE),
    event('overlap', NOW - 1),
    event('new', NOW + 1),
  ];
  const { progress } = await follow(() => events, {
    from: { until: NOW },
    act: (id) => acted.push(id),
  });
  expect(acted).toEqual(['overlap', 'new']);
  expect(progress.at(-1)).toBe(NOW + 1);
});

test('tries an event again that cannot be acted on, and goes on with the others', async () => {
  const acted: string[] = [];
  let sick = 3;
  const { failures, end } = await follow(() => [event('hard', NOW - 5), event('next', NOW)], {
    from: { until: NOW - 10 },
    rounds: 6,
    act: (id) => {
      if (id === 'hard' && sick-- > 0) throw new Error('its ledger is lost');
      acted.push(id);
    },
  });
  expect(failures).toEqual(['hard', 'hard', 'hard']);
  expect(acted).toEqual(['next', 'hard']);
  expect(end.until).toBe(NOW);
});

test('tries an event again for a day from its first try, however old it is, and says when it gives up', async () => {
  let now = NOW;
  const given: [boolean, FollowedEvents][] = [];
  const old = event('old', NOW - 20 * DAY);
  const readFrom = async (from: FollowedEvents) => {
    const ending = new AbortController();
    let looks = 0;
    return followEvents(
      {
        events: {
          listEvents: () => {
            looks += 1;
            if (looks === 3) ending.abort();
            return Promise.resolve({ events: [old] });
          },
        },
        act: () => Promise.reject(new Error('its ledger is lost')),
        onFailure: (_id, _error, { isGivenUp }) => given.push([isGivenUp, from]),
      },
      from,
      { everyMs: 1, signal: ending.signal, onProgress: () => undefined, now: () => now },
    );
  };
  const first = await readFrom({ until: NOW - 30 * DAY });
  expect(first).toEqual({ until: old.at, triedSince: NOW });
  now += DAY - 1;
  // The next run of the workflow counts on.
  const second = await readFrom(first);
  expect(second).toEqual(first);
  expect(given.every(([isGivenUp]) => !isGivenUp)).toBe(true);
  now += 1;
  expect(await readFrom(second)).toEqual({ until: old.at });
  expect(given.filter(([isGivenUp]) => isGivenUp)).toEqual([[true, second]]);
});

test('reads on before it tries again what waits, some of it with each look', async () => {
  const sick = Array.from({ length: 120 }, (_, n) => event(`sick-${n}`, NOW + n));
  const tried: string[] = [];
  let lists = 0;
  await follow(() => (lists++ < 61 ? sick : [...sick, event('new', NOW + 500)]), {
    from: { until: NOW },
    rounds: 2,
    act: (id) => {
      tried.push(id);
      if (id !== 'new') throw new Error('its ledger is lost');
    },
  });
  expect(tried.slice(0, 121)).toEqual([...sick.map(({ hint }) => hint?.requestId), 'new']);
  expect(tried.slice(121, 171)).toEqual(tried.slice(0, 50));
});

test('counts nothing as done that it has not acted on, when it is stopped or something waits', async () => {
  const acted: string[] = [];
  const events = [1, 2, 3, 4].map((n) => event(`e${n}`, NOW - 1_000 + n));
  const ending = new AbortController();
  const read = (from: FollowedEvents, act: (id: string) => void) =>
    followEvents(
      {
        events: { listEvents: () => Promise.resolve({ events }) },
        act: ({ requestId }) => {
          act(requestId);
          acted.push(requestId);
          return Promise.resolve('run-asked');
        },
        onFailure: () => undefined,
      },
      from,
      { everyMs: 1, signal: ending.signal, onProgress: () => undefined, now: () => NOW },
    );
  const first = await read({ until: NOW - 2_000 }, (id) => {
    if (id === 'e1') throw new Error('its ledger is lost');
    if (id === 'e2') ending.abort();
  });
  expect(acted).toEqual(['e2']);
  expect(first.until).toBe(NOW - 1_000 + 1);
});
