import { Redis } from 'ioredis';
import { createItemHistory } from '../../../engine/archive/item-history';
import { openArchive } from '../../../engine/archive/database';
import { migrateArchive } from '../../../engine/archive/migrate';
import { createArchivedHistory } from '../../../engine/reconciliation/archived-history';
import { rebuildLedger } from '../../../engine/reconciliation/rebuild-ledger';
import { createClaimOrder, createFinishClaims } from '../../../engine/stock/claims';
import { itemKeys } from '../../../engine/stock/keys';
import { createLedgerMaintenance } from '../../../engine/stock/ledger-maintenance';
import { createStockLedger } from '../../../engine/stock/stock-ledger';
import { loadDatabaseAccess } from '../../../platform/config';
import { createLogger } from '../../../platform/logger';
import {
  closeDatabasePool,
  connectionOptions,
  createDatabasePool,
} from '../../../platform/postgres';
import type { Suite } from '../environment';
import { rounded } from '../report';
import { putOnSale } from './sale';

const ORDERS = 1_000_000;
const QUICK_ORDERS = 20_000;
const RETENTION_MS = 7 * 24 * 3_600_000;
const REBUILD_MS_MAX = 120_000;
const MEMORY_MB_MAX = 256;
const SAMPLE_EVERY_MS = 100;

/**
 * A lost ledger of an item that had a million orders, a tenth of which failed, all within the retention, each of a buyer of
 * its own, with a limit for each user: the most that a rebuild from the archive has to write. Kafka and Temporal know nothing.
 */
export const rebuild: Suite = {
  about: 'the ledger of a million finished orders, rebuilt from the archive (only by name)',
  onlyByName: true,
  run: async (bench) => {
    const { log, stack } = bench;
    if (stack.databaseUrl === undefined) throw new Error('The stack has no PostgreSQL');
    const logger = createLogger('bench', 'warn');
    const access = loadDatabaseAccess({ DATABASE_URL: stack.databaseUrl });
    await migrateArchive(connectionOptions(access, 'bench'), logger);
    const pool = createDatabasePool(access, { name: 'bench', logger });
    bench.onEnd(() => closeDatabasePool(pool));
    const redis = new Redis(`redis://${stack.redisAddr}`);
    bench.onEnd(() => {
      redis.disconnect();
    });
    const orders = bench.orders?.[0] ?? (bench.quick ? QUICK_ORDERS : ORDERS);
    const itemId = await putOnSale(redis, 0);
    await redis.del(...itemKeys(itemId));
    log(`  ${orders} orders are written to the archive`);
    const filling = await pool.connect();
    const step = 50_000;
    for (let first = 0; first < orders; first += step) {
      bench.signal.throwIfAborted();
      await filling.query(
        `insert into orders
           (order_id, request_id, item_id, user_id, amount, price_minor, currency, accepted_at, status,
            reason, payment_id, generation, revision, finished_at)
         select 'order-' || n, 'req-' || n, $1, 'user-' || n, 1, 1000, 'USD', now() - interval '1 day',
           case when n % 10 = 0 then 'failed' else 'confirmed' end,
           case when n % 10 = 0 then 'payment-declined' end, 'pay-' || n, 1, n + 1, now() - interval '1 day'
         from generate_series($2::int, $3::int) n`,
        [itemId, first, Math.min(first + step, orders) - 1],
      );
    }
    await filling.query('analyze orders');
    filling.release();

    const repair = createLedgerMaintenance(redis);
    const past = createArchivedHistory({
      archive: createItemHistory(openArchive(pool)),
      runs: {
        keptMs: () => Promise.resolve(RETENTION_MS),
        unfinished: () => Promise.resolve(new Set()),
        runIdsOf: () => Promise.resolve(new Map()),
        look: () => Promise.resolve(undefined),
        history: () => Promise.reject(new Error('there is no run')),
      },
      readCancellations: () => Promise.resolve(new Map()),
      behind: () => Promise.resolve(0),
      logReachesBackTo: () => Promise.resolve(true),
      eventsTopic: 'order-events',
      orderRetentionMs: RETENTION_MS,
    });
    const registration = { token: 'of-a-bench', at: Date.now(), isAgain: false };
    const memoryBefore = process.memoryUsage().rss;
    let memoryMost = memoryBefore;
    const sampling = setInterval(() => {
      memoryMost = Math.max(memoryMost, process.memoryUsage().rss);
    }, SAMPLE_EVERY_MS);
    const startedAt = performance.now();
    const result = await rebuildLedger(
      {
        repair,
        registry: { registration: () => Promise.resolve(registration) },
        history: { restore: () => Promise.reject(new Error('there is an archive')) },
        claim: createClaimOrder(redis, RETENTION_MS),
        archived: {
          restore: past.restore,
          stock: () => Promise.resolve({ supply: orders, sale: { units_per_user: '1' } }),
          finishClaims: createFinishClaims(redis),
          orderRetentionMs: RETENTION_MS,
        },
      },
      { itemId, by: 'bench', why: 'a measurement' },
    );
    const tookMs = performance.now() - startedAt;
    clearInterval(sampling);

    const failed = Math.ceil(orders / 10);
    const counts = (await createStockLedger(redis).item(itemId))?.counts;
    const entries = await repair.size(itemId);
    const isRight =
      result.kind === 'rebuilt' &&
      counts?.sold === orders - failed &&
      counts.free === failed &&
      entries === failed;
    const violation = `${result.kind}: ${JSON.stringify(counts)}, ${entries} entries`;
    const memoryMb = (memoryMost - memoryBefore) / 1_048_576;
    return {
      tables: [
        {
          title: 'rebuild from the archive',
          head: ['orders', 'of these with an entry', 's', 'memory more, MB'],
          rows: [[orders, entries, rounded(tookMs / 1_000), rounded(memoryMb)]],
        },
      ],
      figures: [
        { what: 'a rebuild, s', value: tookMs / 1_000, bar: { atMost: REBUILD_MS_MAX / 1_000 } },
        { what: 'its memory, MB', value: memoryMb, bar: { atMost: MEMORY_MB_MAX } },
      ],
      violations: isRight ? [] : [violation],
    };
  },
};
