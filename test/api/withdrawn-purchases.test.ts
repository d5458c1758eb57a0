import { createFakeLog, useSafeProducers, type Fault } from '../engine/kafka/fake-kafka-log';
import { buy, openGateway, until, type OpenGateway } from './open-gateway';

/** The gateway on the real producer, before a Kafka that is away and comes back. */
const startProducer = useSafeProducers();
let open: OpenGateway;
afterEach(() => open.close());

const HOLD_LEASE_MS = 300;

async function openBefore(fault: () => Fault | undefined) {
  const log = createFakeLog(fault);
  const producer = await startProducer(log.createProducer, { partitioner: 'by-batch' });
  open = await openGateway({
    units: 100,
    change: () => ({
      publisher: producer,
      limits: { appendDeadlineMs: 50, holdLeaseMs: HOLD_LEASE_MS },
    }),
  });
  return { log, producer };
}

test('purchases that got 503 while Kafka was away do not come alive when it is back after their leases', async () => {
  let isBack = false;
  const { log, producer } = await openBefore(() => (isBack ? undefined : 'error'));
  const buyers = Array.from({ length: 40 }, (_, i) => `away-${i}`);
  const answers: number[] = [];
  for (const request_id of buyers) answers.push((await buy(open, { request_id })).status);
  expect(new Set(answers)).toEqual(new Set([503]));
  await until(() => producer.pending === 0);
  isBack = true;
  expect((await buy(open, { request_id: 'after' })).status).toBe(202);
  expect(
    log.values().map((text) => (JSON.parse(text) as { request_id: string }).request_id),
  ).toEqual(['after']);
});

test('a purchase whose lease still runs is written when Kafka is back, and queued', async () => {
  let isBack = false;
  const { log } = await openBefore(() => (isBack ? undefined : 'error'));
  expect((await buy(open)).status).toBe(503);
  isBack = true;
  await until(() => log.values().length === 1);
  await until(() => open.stock.snapshot().includes('"state":"queued"'));
});
