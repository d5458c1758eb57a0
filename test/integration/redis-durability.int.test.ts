import { Redis } from 'ioredis';
import { createLogger } from '../../platform/logger';
import { watchRedisDurability } from '../../platform/redis';
import { redisAddr } from '../support/addresses';
import { eventually } from '../support/eventually';

let redis: Redis;
beforeAll(() => {
  redis = new Redis(redisAddr());
});
afterEach(() => redis.config('SET', 'appendfsync', 'always'));
afterAll(() => redis.quit());

/** What a process would be refused for; looks once. */
async function refusalsOf(
  production: boolean,
): Promise<{ refusals: string[]; warnings: object[] }> {
  const [refusals, warnings]: [string[], object[]] = [[], []];
  const logger = createLogger('test', 'silent');
  logger.warn = (fields: object) => warnings.push(fields);
  let asked = 0;
  const watched = new Redis(redisAddr());
  const config = watched.config.bind(watched);
  watched.config = ((...args: Parameters<typeof config>) =>
    config(...args).finally(() => asked++)) as typeof config;
  watchRedisDurability(watched, {
    production,
    logger,
    refuse: (error) => refusals.push(error.message),
  });
  try {
    await eventually('the settings were read', () => Promise.resolve(asked > 0));
    return { refusals, warnings };
  } finally {
    await watched.quit();
  }
}

describe('a Redis that may forget orders', () => {
  test('is not what the local stack starts', async () => {
    expect(await refusalsOf(true)).toEqual({ refusals: [], warnings: [] });
  });

  test('is refused in production, with the setting and what it would cost', async () => {
    await redis.config('SET', 'appendfsync', 'everysec');
    const { refusals } = await refusalsOf(true);
    expect(refusals).toEqual([expect.stringContaining('appendfsync is everysec, not always')]);
  });

  test('is a warning otherwise', async () => {
    await redis.config('SET', 'appendfsync', 'everysec');
    const { refusals, warnings } = await refusalsOf(false);
    expect(refusals).toEqual([]);
    expect(JSON.stringify(warnings)).toContain('appendfsync is everysec');
  });
});
