import { Redis } from 'ioredis';
import { createActionLog, readRecordedSelling } from '../../engine/operators/action-log';
import { createSellingSwitch, type SellingState } from '../../engine/stock/selling-switch';
import { startRedis } from '../../stack/components/redis';
import { sellingContract } from '../contract/selling.contract';
import { useRealLog } from '../engine/kafka/real-log';
import { createTestComponents, type TestComponents } from '../support/secured/test-components';

/** A Redis of this file alone: a stop of all selling would stop the other tests. */
let own: TestComponents;
let redis: Redis;
beforeAll(async () => {
  own = await createTestComponents('selling');
  const { address } = await startRedis(own.context);
  redis = new Redis(`redis://${address}`);
}, 60_000);
afterAll(async () => {
  await redis.quit();
  await own.stop();
});

sellingContract('one Redis', () => redis);

test('selling can be stopped on a full Redis', async () => {
  await redis.config('SET', 'maxmemory', 1);
  try {
    await expect(redis.set('any', 1)).rejects.toThrow('OOM');
    const state = { stopped: true, at: new Date().toISOString(), by: 'ann', why: 'x' };
    expect(await createSellingSwitch(redis).change(state)).toMatchObject({ after: state });
  } finally {
    await redis.config('SET', 'maxmemory', 0);
  }
});

describe('the record of what operators do', () => {
  const log = useRealLog();
  afterEach(() => log.closeAll());
  const state = (revision: number, stopped: boolean): SellingState => ({
    stopped,
    at: new Date(revision).toISOString(),
    by: 'ann',
    why: 'x',
    revision,
  });

  test('is read also by a gateway that may not delete its consumer group', async () => {
    const { operatorActionsTopic: topic } = await log.topics();
    const producer = await log.producer(topic, 1);
    const { lateRecorder } = createActionLog({
      withPublisher: (use) => use(producer),
      now: Date.now,
      report: () => undefined,
    });
    const after = state(Date.now(), true);
    const stop = { action: 'selling.stop', request: {} } as const;
    await lateRecorder({ by: 'ann', door: 'cli' })(stop, { outcome: 'done', after });
    const kafka = log.kafka();
    const admin = kafka.admin.bind(kafka);
    const deleteGroups = jest.fn(() => Promise.reject(new Error('GROUP_AUTHORIZATION_FAILED')));
    kafka.admin = (config) => ({ ...admin(config), deleteGroups });
    expect(await readRecordedSelling(kafka, topic, 0)).toEqual(after);
    expect(deleteGroups).toHaveBeenCalled();
  });

  test('has the newest state of the switch, whatever else operators do', async () => {
    const { operatorActionsTopic: topic } = await log.topics();
    const producer = await log.producer(topic, 1);
    const { recorder, lateRecorder } = createActionLog({
      withPublisher: (use) => use(producer),
      now: Date.now,
      report: () => undefined,
    });
    const actor = { by: 'ann', door: 'cli' } as const;
    const stop = { action: 'selling.stop', request: {} } as const;
    const now = Date.now();
    const recorded = () => readRecordedSelling(log.kafka(), topic, now);
    expect(await recorded()).toBeUndefined();

    await lateRecorder(actor)(stop, { outcome: 'done', after: state(now + 2, true) });
    // Recorded later, and changed before.
    await recorder(actor)(
      { action: 'selling.resume', request: {} },
      () => Promise.resolve(state(now + 1, false)),
      (after) => ({ outcome: 'done', after }),
    );
    await lateRecorder(actor)(stop, { outcome: 'unknown' });
    await lateRecorder(actor)(
      { action: 'stock.open', request: {} },
      { outcome: 'done', after: state(now + 9, false) },
    );
    await producer.append({ key: 'selling.stop', value: Buffer.from('no record') });
    expect(await recorded()).toEqual(state(now + 2, true));
  });
});
