import { createKafka } from '../../engine/kafka/kafka-client';
import { ensureTopics, withAdmin } from '../../engine/kafka/topics';
import { startRedis } from '../../stack/components/redis';
import { kafkaAddrs } from '../support/addresses';
import { createTestArchive, type TestArchive } from '../support/archive';
import { startBuiltProcess } from '../support/built-process';
import { createTestComponents, type TestComponents } from '../support/secured/test-components';

/** An empty one of its own: set-up registers every ledger that it finds open. */
let own: TestComponents;
let redis: string;
let archive: TestArchive;
beforeAll(async () => {
  own = await createTestComponents('setup');
  ({ address: redis } = await startRedis(own.context));
});
beforeEach(async () => {
  archive = await createTestArchive({ isMigrated: false });
});
afterEach(() => archive.drop());
afterAll(() => own.stop());

async function setUp(env: NodeJS.ProcessEnv = {}) {
  const given = { ...process.env, REDIS_ADDR: redis, DATABASE_URL: archive.url };
  const setup = startBuiltProcess('setup/main.js', 1, { ...given, ...env });
  const [code] = await setup.ended;
  return { code, output: setup.output() };
}
const hasOrders = async () => {
  const table = "select to_regclass('orders') is not null as there";
  const { rows } = await archive.pool.query<{ there: boolean }>(table);
  return rows[0]?.there;
};

test('set-up makes the schema of the archive, also when two run at once, and again', async () => {
  const codes = await Promise.all([setUp(), setUp()]);
  expect(codes.map(({ code }) => code)).toEqual([0, 0]);
  expect(await hasOrders()).toBe(true);
  expect((await setUp()).code).toBe(0);
});

test('set-up without DATABASE_URL leaves the database alone', async () => {
  expect((await setUp({ DATABASE_URL: '' })).code).toBe(0);
  expect(await hasOrders()).toBe(false);
});

describe('a log that forgets before the archive can be restored', () => {
  const topic = `setup-${String(process.pid)}`;
  const short = { ORDER_EVENTS_TOPIC: topic, ARCHIVE_BACKUP_AGE: '600' };
  const isNamed =
    /a backup of the archive .* would miss orders: setup-\d+: retention.ms is 599000,/;
  beforeAll(() =>
    ensureTopics(kafkaAddrs(), [{ topic, partitions: 1, config: { 'retention.ms': '599000' } }]),
  );
  afterAll(() =>
    withAdmin(createKafka('test', kafkaAddrs()), (admin) =>
      admin.deleteTopics({ topics: [topic] }),
    ),
  );

  test('is named', async () => {
    const { code, output } = await setUp(short);
    expect([code, output]).toEqual([0, expect.stringMatching(isNamed)]);
    const longEnough = await setUp({ ...short, ARCHIVE_BACKUP_AGE: '599' });
    expect(longEnough.output).not.toMatch(isNamed);
  });

  test('is refused in production', async () => {
    const { code, output } = await setUp({ ...short, ENGINE_MODE: 'production' });
    expect([code, output]).toEqual([1, expect.stringMatching(isNamed)]);
  });
});
