import { createLogger } from '../../platform/logger';
import { UserError } from '../../platform/user-error';
import { createWaiting } from '../../platform/waiting';

const logger = createLogger('test', 'silent');

function open() {
  const shutdown = new AbortController();
  return { shutdown, waiting: createWaiting(logger, shutdown.signal) };
}

describe('waiting for a system', () => {
  test('goes on until it answers, and tells why it still waits', async () => {
    const { waiting } = open();
    let tries = 0;
    const seen: unknown[] = [];
    const answered = waiting.waitFor('redis', () => {
      tries += 1;
      seen.push(waiting.report().waiting_for);
      return tries < 3 ? Promise.reject(new Error('refused')) : Promise.resolve('PONG');
    });
    expect(await answered).toBe('PONG');
    const refused = { redis: 'refused' };
    expect(seen).toEqual([{ redis: 'no answer yet' }, refused, refused]);
    expect(waiting.report()).toEqual({
      ready: false,
      dependencies: { redis: true },
      waiting_for: {},
    });
  });

  test('ends with an error that waiting does not mend', async () => {
    const { waiting } = open();
    const wrong = () => Promise.reject(new UserError('Redis refuses this process'));
    await expect(waiting.waitFor('redis', wrong)).rejects.toThrow('refuses');
  });

  test('tries no more and settles no more once the process shuts down', async () => {
    const { waiting, shutdown } = open();
    let tries = 0;
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    const trying = new Promise<void>((resolve) => {
      void waiting
        .waitFor('kafka', () => {
          tries += 1;
          resolve();
          return new Promise<never>(() => undefined);
        })
        .then(settle, settle);
    });
    await trying;
    shutdown.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect([tries, isSettled]).toEqual([1, false]);
  });
});
