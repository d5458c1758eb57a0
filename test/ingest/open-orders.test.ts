import { pino } from 'pino';
import { UnavailableError } from '../../engine/kafka/consumer';
import type { ItemId } from '../../engine/orders/order';
import { createOpenOrders } from '../../ingest/open-orders';

const HOT = 'hot' as ItemId;
const QUIET = 'quiet' as ItemId;
const SECOND = 1_000;

/** A server with `open` orders, a clock that only the test moves, and the bound under test. */
function bounded(max: number) {
  const server = { open: 0, asked: 0, away: false };
  const clock = { nowMs: 0 };
  const openOrders = createOpenOrders({
    max,
    now: () => clock.nowMs,
    countOpen: () => {
      server.asked++;
      return server.away
        ? Promise.reject(new UnavailableError('Temporal is away'))
        : Promise.resolve(server.open);
    },
    logger: pino({ level: 'silent' }),
  });
  const nextCount = async () => {
    clock.nowMs += SECOND;
    if (openOrders.enter(QUIET)) openOrders.leave(QUIET, false);
    await new Promise(setImmediate);
  };
  /** Starts orders of an item until there is no place for one more. */
  const fill = (itemId: ItemId): number => {
    for (let started = 0; ; started++) {
      if (!openOrders.enter(itemId)) return started;
      openOrders.leave(itemId, true);
    }
  };
  return { server, clock, openOrders, nextCount, fill };
}

describe('createOpenOrders', () => {
  test('admits none before the first count, then as many as there is room for', async () => {
    const { server, openOrders, nextCount, fill } = bounded(3);
    server.open = 1;
    expect(openOrders.enter(HOT)).toBe(false);
    await nextCount();
    expect(fill(HOT)).toBe(2);
    expect(openOrders.estimate).toBe(3);
  });

  test('admits again when the server counts fewer orders', async () => {
    const { server, nextCount, fill } = bounded(3);
    await nextCount();
    expect(fill(HOT)).toBe(3);
    server.open = 3;
    await nextCount();
    expect(fill(HOT)).toBe(0);
    server.open = 1;
    await nextCount();
    expect(fill(HOT)).toBe(2);
  });

  test('counts orders that are entering, and frees the place when no workflow was started', async () => {
    const { openOrders, nextCount } = bounded(1);
    await nextCount();
    expect(openOrders.enter(HOT)).toBe(true);
    expect(openOrders.enter(QUIET)).toBe(false);
    openOrders.leave(HOT, false);
    expect(openOrders.enter(QUIET)).toBe(true);
  });

  test('keeps the starts from while the server was counting', async () => {
    let answer: (open: number) => void = () => undefined;
    const clock = { nowMs: 0 };
    const openOrders = createOpenOrders({
      max: 10,
      now: () => clock.nowMs,
      countOpen: () => new Promise<number>((resolve) => (answer = resolve)),
      logger: pino({ level: 'silent' }),
    });
    const counted = async (open: number) => {
      answer(open);
      await new Promise(setImmediate);
    };
    openOrders.enter(HOT);
    await counted(0);
    openOrders.enter(HOT);
    openOrders.leave(HOT, true);
    clock.nowMs += SECOND;
    // Asks for a count, and is started while the server counts.
    openOrders.enter(HOT);
    openOrders.leave(HOT, true);
    await counted(1);
    expect(openOrders.estimate).toBe(2);
  });

  test('asks the server at most once a second, and only while orders are started', async () => {
    const { server, clock, openOrders, nextCount } = bounded(100);
    await nextCount();
    for (let i = 0; i < 60; i++) openOrders.enter(HOT);
    expect(server.asked).toBe(1);
    clock.nowMs += 60 * SECOND;
    expect(server.asked).toBe(1);
  });

  test('frees the place of an order that is sold here, before the server counts again', async () => {
    const { openOrders, nextCount, fill } = bounded(3);
    await nextCount();
    fill(HOT);
    openOrders.sold(HOT);
    expect(openOrders.estimate).toBe(2);
    expect(fill(HOT)).toBe(1);
  });

  test('is not below what is entering when more is sold here than it knew of', async () => {
    const { openOrders, nextCount, fill } = bounded(3);
    await nextCount();
    for (let order = 0; order < 5; order++) openOrders.sold(HOT);
    openOrders.enter(QUIET);
    expect(openOrders.estimate).toBe(1);
    openOrders.leave(QUIET, false);
    await nextCount();
    expect(fill(HOT)).toBe(3);
  });

  test('keeps its bound after it has sold more orders of other processes than it knew of', async () => {
    const { server, openOrders, nextCount, fill } = bounded(3);
    await nextCount();
    for (let order = 0; order < 5_000; order++) openOrders.sold(HOT);
    server.away = true;
    await nextCount();
    expect(fill(QUIET)).toBe(3);
  });

  test('goes on to its bound while the server cannot count, and asks again', async () => {
    const { server, nextCount, fill } = bounded(5);
    await nextCount();
    server.away = true;
    await nextCount();
    expect(fill(HOT)).toBe(5);
    await nextCount();
    expect(fill(HOT)).toBe(0);
    server.away = false;
    await nextCount();
    expect(fill(HOT)).toBe(5);
  });

  test('goes on counting when the wall clock steps back by an hour', async () => {
    const wall = jest.spyOn(Date, 'now');
    const openOrders = createOpenOrders({
      max: 1,
      countEveryMs: 5,
      countOpen: () => Promise.resolve(0),
      logger: pino({ level: 'silent' }),
    });
    const startsOne = async () => {
      for (let tries = 0; tries < 20; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (!openOrders.enter(HOT)) continue;
        openOrders.leave(HOT, true);
        return true;
      }
      return false;
    };
    const before = Date.now();
    await expect(startsOne()).resolves.toBe(true);
    wall.mockReturnValue(before - 3_600_000);
    await expect(startsOne()).resolves.toBe(true);
    wall.mockRestore();
  });
});

describe('a hot item', () => {
  test('leaves a tenth of the places to items that have few open orders', async () => {
    const { openOrders, nextCount, fill } = bounded(500);
    await nextCount();
    expect(fill(HOT)).toBe(450);
    for (let item = 0; item < 50; item++) {
      const quiet = `quiet-${item}` as ItemId;
      expect(openOrders.enter(quiet)).toBe(true);
      openOrders.leave(quiet, true);
    }
    expect(openOrders.enter(QUIET)).toBe(false);
  });

  test('may start no more when its orders stay open, however long ago they were started', async () => {
    const { server, nextCount, fill } = bounded(500);
    await nextCount();
    fill(HOT);
    server.open = 450;
    for (let minute = 0; minute < 60; minute++) await nextCount();
    expect(fill(HOT)).toBe(0);
    expect(fill(QUIET)).toBe(5);
  });

  test('counts as quiet again once others have started as many orders as are open', async () => {
    const { server, nextCount, fill } = bounded(500);
    await nextCount();
    const other = 'other' as ItemId;
    fill(HOT);
    for (let round = 0; round < 8; round++) {
      server.open = 0;
      await nextCount();
      fill(other);
      server.open = 450;
      await nextCount();
    }
    expect(fill(other)).toBe(0);
    expect(fill(HOT)).toBe(5);
  });
});
