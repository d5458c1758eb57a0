import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { nameOf, planCases } from '../../proof/chaos/cases';
import { createPostgresFaults } from '../../proof/chaos/postgres-faults';
import { runChaos, violationsOf } from '../../proof/chaos/run-chaos';
import { databaseUrl, kafkaAddrs, redisAddr, temporalAddress } from './addresses';

const ROOT = join(__dirname, '..', '..');
/** A fifth of those of `npm run chaos`. */
const BURST_ORDERS = 60;

/**
 * To be called outside of a test. Returns what runs cases of the chaos harness on the servers of the tests, and expects that
 * no guarantee is violated.
 */
export function useChaosCases() {
  const stopping = new AbortController();
  let connection: Connection;
  beforeAll(async () => {
    connection = await Connection.connect({ address: temporalAddress() });
  });
  // Also after a test that has run out of time.
  afterAll(async () => {
    stopping.abort();
    await connection.close();
  });
  return async (names: readonly string[]): Promise<void> => {
    const cases = planCases().filter((one) => names.includes(nameOf(one)));
    expect(cases.map(nameOf).sort()).toEqual([...names].sort());
    const results = await runChaos(
      {
        root: ROOT,
        redisAddr: redisAddr().replace('redis://', ''),
        kafkaAddr: kafkaAddrs().join(','),
        temporal: new Client({ connection }),
        temporalAddress: temporalAddress(),
        databaseUrl: databaseUrl(),
        // Other tests use it.
        postgres: createPostgresFaults(() => undefined),
        dataDir: join(process.env['TEST_DATA_DIR'] ?? join(ROOT, 'var'), 'failpoints'),
        env: process.env,
        signal: stopping.signal,
      },
      { cases, instances: 2, burstOrders: BURST_ORDERS, onResult: () => undefined },
    );
    expect(results.map((result) => [nameOf(result.case), violationsOf(result)])).toEqual(
      cases.map((one) => [nameOf(one), []]),
    );
    // Two thirds of the burst find units, and some of each burst are sold.
    for (const { burst } of results) expect(burst.confirmed).toBeGreaterThan(BURST_ORDERS / 4);
  };
}
