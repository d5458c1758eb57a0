import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { nameOf, planCases } from '../../proof/chaos/cases';
import { runChaos, violationsOf } from '../../proof/chaos/run-chaos';
import { kafkaAddrs, redisAddr, temporalAddress } from '../support/addresses';

const ROOT = join(__dirname, '..', '..');

/** One of each kind; `npm run chaos` runs them all, with bursts five times as large. */
const SOME = [
  // Acknowledged and queued; the buyer gets no response.
  'api.answer.before=kill',
  // In the topic twice.
  'api.send.after=drop',
  // Started, and consumed again after the restart.
  'ingest.commit.before=kill',
  // Charged by the worker of ingest; another worker carries the order on.
  'ingest.charge.after=kill',
  // Sold; the workflow does not know it.
  'worker.confirm.after=kill',
  // Refunded and recorded, and requested again.
  'worker.settle.after=drop',
];
const BURST_ORDERS = 60;

let connection: Connection;
const stopping = new AbortController();
beforeAll(async () => {
  connection = await Connection.connect({ address: temporalAddress() });
});
afterAll(async () => {
  stopping.abort();
  await connection.close();
});

test('a kill or a lost response at a failpoint violates no guarantee, for one order and in a burst', async () => {
  const cases = planCases().filter((one) => SOME.includes(nameOf(one)));
  expect(cases.map(nameOf).sort()).toEqual([...SOME].sort());
  const results = await runChaos(
    {
      root: ROOT,
      redisAddr: redisAddr().replace('redis://', ''),
      kafkaAddr: kafkaAddrs().join(','),
      temporal: new Client({ connection }),
      temporalAddress: temporalAddress(),
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
}, 240_000);
