import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { startTemporal } from '../../stack/components/temporal';
import { createTestComponents } from '../support/secured/test-components';

/** How many indexes Temporal has made for the runs, and how many of them are of the three attributes of an order. */
function indexesOf(dataDir: string): readonly number[] {
  const count = `import sqlite3, sys
names = [name for (name,) in sqlite3.connect(sys.argv[1]).execute(
    "select name from sqlite_master where type = 'index' and tbl_name = 'executions_visibility' and sql is not null")]
print(len(names), sum(name in ('by_keyword_01', 'by_keyword_02', 'by_keyword_03') for name in names))`;
  const file = join(dataDir, 'temporal', 'temporal.db');
  return execFileSync('python3', ['-c', count, file], { encoding: 'utf8' }).split(' ').map(Number);
}

/** Starts Temporal on a data folder, as often as there are settings, and stops it each time. */
async function indexesAfter(name: string, ...starts: (string | undefined)[]) {
  const found: (readonly number[])[] = [];
  let dataDir: string | undefined;
  for (const temporalIndexes of starts) {
    const own = await createTestComponents(name);
    dataDir ??= own.dataDir;
    try {
      const settings = { ...own.context.settings, temporalIndexes, dataDir };
      await startTemporal({ ...own.context, settings });
      found.push(indexesOf(dataDir));
    } finally {
      await own.stop();
    }
  }
  return found;
}

test('a Temporal that makes its file keeps the indexes that somebody asks by', async () => {
  expect(await indexesAfter('few-indexes', undefined)).toEqual([[7, 3]]);
}, 60_000);

test('TEMPORAL_INDEXES=all leaves its schema alone', async () => {
  const [[all = 0, ofOrders] = []] = await indexesAfter('all-indexes', 'all');
  expect([all > 50, ofOrders]).toEqual([true, 3]);
}, 60_000);

test('a file that Temporal finds is left alone', async () => {
  const [before, after] = await indexesAfter('old-indexes', 'all', undefined);
  expect(after).toEqual(before);
}, 90_000);
