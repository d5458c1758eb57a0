import { createOpenOrders } from '../../ingest/open-orders';
import { UnavailableError } from '../../engine/kafka/consumer';

const SECOND = 1_000;

/** A server with `open` orders, a clock that only waiting moves, and the bound under test. */
function bounded(max: number) {
  const server = { open: 0, asked: 0, nowMs: 0 };
  const openOrders = createOpenOrders({
    max,
    countEveryMs: SECOND,
    now: () => server.nowMs,
    countOpen: () => {
      server.asked++;
      return Promise.resolve(server.open);
    },
    wait: (ms) => {
      server.nowMs += ms;
      server.open = Math.max(0, server.open - 1);
      return Promise.resolve();
    },
  });
  return { server, openOrders, never: new AbortController().signal };
}

describe('createOpenOrders', () => {
  test('admits as many as there is room for, and asks the server once', async () => {
    const { server, openOrders, never } = bounded(3);
    for (let i = 0; i < 3; i++) {
      await openOrders.enter(never);
      openOrders.leave(true);
    }
    expect(openOrders.estimate).toBe(3);
    expect(server).toMatchObject({ asked: 1, nowMs: 0 });
  });

  test('waits at the bound until the server counts fewer orders', async () => {
    const { server, openOrders, never } = bounded(3);
    server.open = 5;
    await openOrders.enter(never);
    expect(server.nowMs).toBe(3 * SECOND);
  });

  test('counts orders that are entering, so that concurrent ones do not exceed the bound', async () => {
    const { server, openOrders, never } = bounded(2);
    server.open = 1;
    await openOrders.enter(never);
    expect(openOrders.estimate).toBe(2);
    await openOrders.enter(never);
    expect(server.nowMs).toBeGreaterThan(0);
  });

  test('frees the place when no workflow was started', async () => {
    const { openOrders, never } = bounded(1);
    await openOrders.enter(never);
    openOrders.leave(false);
    await openOrders.enter(never);
    expect(openOrders.estimate).toBe(1);
  });

  test('keeps the starts from while the server was counting', async () => {
    let answer: (open: number) => void = () => undefined;
    const openOrders = createOpenOrders({
      max: 10,
      countEveryMs: 0,
      countOpen: () => new Promise<number>((resolve) => (answer = resolve)),
    });
    const never = new AbortController().signal;
    const first = openOrders.enter(never);
    answer(0);
    await first;
    const second = openOrders.enter(never);
    openOrders.leave(true);
    answer(0);
    await second;
    expect(openOrders.estimate).toBe(2);
  });

  test('asks once for many that enter together', async () => {
    const { server, openOrders, never } = bounded(100);
    await Promise.all(Array.from({ length: 60 }, () => openOrders.enter(never)));
    expect(server.asked).toBe(1);
  });

  test('throws when the count fails, and asks again the next time', async () => {
    let away = true;
    const openOrders = createOpenOrders({
      max: 1,
      countOpen: () =>
        away ? Promise.reject(new UnavailableError('Temporal is away')) : Promise.resolve(0),
    });
    const never = new AbortController().signal;
    await expect(openOrders.enter(never)).rejects.toBeInstanceOf(UnavailableError);
    away = false;
    await openOrders.enter(never);
    expect(openOrders.estimate).toBe(1);
  });

  test('ends the wait when the process stops', async () => {
    const stopping = new AbortController();
    const openOrders = createOpenOrders({ max: 1, countOpen: () => Promise.resolve(1) });
    const waiting = openOrders.enter(stopping.signal);
    setImmediate(() => {
      stopping.abort();
    });
    await expect(waiting).rejects.toBeInstanceOf(UnavailableError);
  });
});
