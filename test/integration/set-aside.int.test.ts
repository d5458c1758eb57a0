import { project, setAside, type ArchivedLog } from '../../engine/archive/projection';
import { listSetAside, retrySetAside } from '../../engine/archive/set-aside';
import { createArchiveStore } from '../../engine/archive/store';
import { allRows, createTestArchive, type TestArchive } from '../support/archive';
import {
  aLetter,
  aMark,
  anAcceptance,
  anEvent,
  createRecords,
  type Archived,
} from '../support/archived-records';

let archive: TestArchive;
beforeAll(async () => {
  archive = await createTestArchive();
}, 60_000);
beforeEach(() => archive.empty());
afterAll(() => archive.drop());

const LOGS = new Map<string, ArchivedLog>(
  (['orders', 'order-events', 'dead-letters', 'operator-actions'] as const).map((log) => [
    log,
    log,
  ]),
);

/** As if PostgreSQL had refused the records. */
async function setAllAside(...records: readonly Archived[]): Promise<void> {
  const store = createArchiveStore(archive.database);
  for (const [partition, { record }] of records.entries()) {
    const place = { topic: 'any', partition, from: undefined, to: 1n };
    await store.write(place, setAside(record, 'a test'));
  }
}

test('what was set aside is archived as if it had never been', async () => {
  const records = createRecords();
  const order = anAcceptance({ orderId: 'order-1' });
  const letter = aLetter(order, { error: 'declined – twice' });
  const all = [
    records.order(order),
    records.event(anEvent(order)),
    await records.letter(letter),
    await records.mark(letter, aMark('replayed', 1)),
  ];
  await archive.fill(...all);
  const { set_aside: none, ...expected } = await allRows(archive);
  expect(none).toEqual([]);
  await archive.empty();
  await setAllAside(...all);
  expect(await listSetAside(archive.database, 10)).toHaveLength(4);
  expect(await retrySetAside(archive.database, LOGS)).toEqual({ archived: 4, left: [] });
  expect(await allRows(archive)).toEqual({ ...expected, set_aside: [] });
});

test('what still cannot be archived stays, and says why', async () => {
  const records = createRecords();
  const refused = await records.letter(aLetter(anAcceptance({ orderId: 'o' }), { id: 'no \0' }));
  const old = await records.letter(aLetter(anAcceptance({ orderId: 'p' })));
  await setAllAside(
    records.append('orders', Buffer.from('no order')),
    refused,
    old,
    records.order(anAcceptance({ orderId: 'order-1' })),
  );
  await archive.pool.query(
    `update set_aside set headers = null where topic = 'dead-letters' and record_offset = $1`,
    [old.record.offset],
  );
  const { archived, left } = await retrySetAside(archive.database, LOGS);
  expect(archived).toBe(1);
  expect(left.map(({ topic, problem }) => `${topic}: ${problem}`)).toEqual([
    expect.stringMatching(/^dead-letters: .*0x00/),
    'dead-letters: an older version did not keep its headers',
    expect.stringMatching(/^orders: /),
  ]);
  expect(await listSetAside(archive.database, 10)).toHaveLength(3);
});

test('a record whose topic is not archived any more stays', async () => {
  await setAllAside(createRecords().order(anAcceptance({ orderId: 'order-1' })));
  const { left } = await retrySetAside(archive.database, new Map());
  expect(left).toHaveLength(1);
  expect(left[0]?.problem).toContain('its topic');
});

test('more records than one page are archived', async () => {
  const records = createRecords();
  const orders = Array.from({ length: 205 }, (_, i) =>
    records.order(anAcceptance({ orderId: `order-${i}` })),
  );
  const changes = orders.map(({ record }) => setAside(record, 'a test').set_aside);
  await createArchiveStore(archive.database).write(
    { topic: 'any', partition: 0, from: undefined, to: 1n },
    { ...project('orders', []), set_aside: changes.flat() },
  );
  expect(await retrySetAside(archive.database, LOGS)).toEqual({ archived: 205, left: [] });
});
