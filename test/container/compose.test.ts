import { expectBalance, whenIdle } from '../support/balance';
import { buy, getJson } from '../support/buyers';
import { eventually } from '../support/eventually';
import { anItem } from '../support/purchases';
import { createComposeProject, type ComposeProject } from './compose';
import { sellWhile } from './sale';

let project: ComposeProject;
beforeAll(async () => {
  project = await createComposeProject();
  await project.up();
}, 900_000);
afterAll(() => project.down(), 120_000);

test('all containers become healthy, and setup exits with 0', async () => {
  const rows = await project.whenHealthy();
  const states = Object.fromEntries(rows.map(({ Service, State }) => [Service, State]));
  expect(states).toEqual({
    gateway: 'running',
    ingest: 'running',
    worker: 'running',
    archiver: 'running',
    payments: 'running',
    redis: 'running',
    redpanda: 'running',
    temporal: 'running',
    postgres: 'running',
    setup: 'exited',
  });
}, 200_000);

test('redis-cli, docker compose logs and the temporal command work', async () => {
  const { compose, gateway } = project;
  const redis = (...args: string[]) => compose('exec', '-T', 'redis', 'redis-cli', ...args);
  expect(await redis('SET', 'inventory:101', '100')).toBe('OK');
  const requestId = `known-${anItem()}`;
  const order = { user_id: 'u1', item_id: '101', amount: 1, request_id: requestId };
  expect((await buy(gateway, order)).status).toBe(202);
  await eventually(`${requestId} is decided`, async () => {
    const { status } = await getJson(`${gateway}/orders/${requestId}`);
    return status === 'confirmed' || status === 'failed';
  });
  expect(['99', '100']).toContain(await redis('GET', 'inventory:101'));
  expect(await compose('logs', 'gateway')).toContain('the gateway is open');
  const temporal = ['exec', '-T', 'temporal', 'temporal', 'workflow'];
  expect(await compose(...temporal, 'show', '--workflow-id', requestId)).toContain(
    'WorkflowExecutionStarted',
  );
}, 60_000);

test('the three scenarios pass inside the project', async () => {
  const report = await project.compose('run', '--rm', '-T', 'flash-sale', 'scenarios', '--json');
  const results = JSON.parse(report) as { name: string; passed: boolean; misses: string[] }[];
  expect(results).toHaveLength(3);
  expect(results.filter(({ passed }) => !passed)).toEqual([]);
}, 300_000);

test('no order is lost when gateway, ingest, worker and archiver are restarted one by one under load', async () => {
  const { compose, gateway, payments } = project;
  const itemId = anItem();
  const supply = 100_000;
  await compose('exec', '-T', 'redis', 'redis-cli', 'SET', `inventory:${itemId}`, String(supply));
  const exitCodes: Record<string, number> = {};
  const { accepted, acceptedAtOnce } = await sellWhile(gateway, itemId, {
    perSecond: 10,
    meanwhile: async () => {
      for (const service of ['gateway', 'ingest', 'worker', 'archiver']) {
        exitCodes[service] = await project.restart(service);
      }
    },
  });
  // 137 would mean that a process did not exit in time and was killed.
  expect(exitCodes).toEqual({ gateway: 0, ingest: 0, worker: 0, archiver: 0 });
  await whenIdle({ gateway }, itemId, 300_000);
  const sold = await expectBalance({ gateway, payments }, { itemId, supply, accepted });
  process.stdout.write(
    `${JSON.stringify({ accepted: accepted.length, acceptedAtOnce, ...sold })}\n`,
  );
  expect(acceptedAtOnce).toBeGreaterThan(0);
}, 600_000);

test('down -v removes everything', async () => {
  expect(await project.down()).toBe('');
}, 120_000);
