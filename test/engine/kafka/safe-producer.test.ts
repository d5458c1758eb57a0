import fc from 'fast-check';
import { register } from 'prom-client';
import {
  AppendUnknownError,
  NotAppendedError,
  QueueFullError,
} from '../../../engine/kafka/safe-producer';
import {
  createFakeLog,
  entry,
  onFirstClient,
  TIMING,
  useSafeProducers,
  type Fault,
} from './fake-kafka-log';

const start = useSafeProducers();

describe('append', () => {
  test('acknowledges nothing that is not in the log, whatever the faults', async () => {
    const fault = fc.constantFrom<Fault | undefined>(
      ...(['empty-result', 'other-partition', 'error-after-write', 'error', undefined] as const),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 30 }),
        fc.integer({ min: 1, max: 60 }),
        fc.constantFrom(0, 1),
        async (faults, count, lingerMs) => {
          const left = [...faults];
          const log = createFakeLog(() => left.shift());
          const producer = await start(log.createProducer, { lingerMs });
          const names = Array.from({ length: count }, (_, i) => `order-${i}`);
          const acks = await Promise.all(names.map((name) => producer.append(entry(name))));
          const read = acks.map(({ partition, offset }) => log.at(partition, offset));
          expect(read).toEqual(names);
          expect(log.state.inFlightMax).toBe(1);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('sends the records of one turn of the event loop in one batch per partition', async () => {
    let sends = 0;
    const log = createFakeLog(() => {
      sends++;
      return undefined;
    });
    const producer = await start(log.createProducer, { partitions: 1 });
    await Promise.all(Array.from({ length: 200 }, (_, i) => producer.append(entry(`o-${i}`))));
    expect(sends).toBe(1);
  });

  test('sends the batches of a partition one after the other, in order', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer, { partitions: 1 });
    const names = Array.from({ length: 1_200 }, (_, i) => `order-${i}`);
    await Promise.all(names.map((name) => producer.append(entry(name))));
    expect(log.values()).toEqual(names);
    expect(log.state.inFlightMax).toBe(1);
  });

  test('keeps a batch below half a megabyte', async () => {
    let sends = 0;
    const log = createFakeLog(() => {
      sends++;
      return undefined;
    });
    const producer = await start(log.createProducer, { partitions: 1 });
    const value = Buffer.alloc(200 * 1024);
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => producer.append({ key, value })));
    expect(sends).toBe(3);
  });

  test('sends equal keys to the partition that every standard client chooses', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer, { partitions: 6 });
    // murmur2("foobar") is -790332482 in Kafka's own test; without its sign, modulo 6.
    const { partition } = await producer.append({ key: 'foobar', value: Buffer.from('x') });
    expect(partition).toBe((-790332482 & 0x7fffffff) % 6);
  });

  test('by batch: sends records that arrive together to one partition, and each batch to the next', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer, { partitioner: 'by-batch' });
    const used: number[][] = [];
    for (const turn of ['a', 'b', 'c', 'd']) {
      const together = Array.from({ length: 50 }, (_, i) => producer.append(entry(`${turn}-${i}`)));
      const partitions = (await Promise.all(together)).map(({ partition }) => partition);
      used.push([...new Set(partitions)]);
    }
    expect(used).toEqual([[1], [2], [0], [1]]);
  });

  test('by batch: uses other partitions while one does not answer', async () => {
    let sends = 0;
    // The first batch hangs until its client is replaced.
    const log = createFakeLog(() => (sends++ === 0 ? 'silence' : undefined));
    const producer = await start(log.createProducer, {
      partitioner: 'by-batch',
      timing: { ...TIMING, ackMsMax: 3_000 },
    });
    const stuck = producer.append(entry('stuck'));
    await new Promise(setImmediate);
    for (let i = 0; i < 20; i++) await producer.append(entry(`o-${i}`));
    expect(log.values()).not.toContain('stuck');
    await stuck;
    expect(log.values()).toContain('stuck');
  });

  test('refuses a record at once when too many wait', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer, { queueMax: 2 });
    const accepted = [producer.append(entry('a')), producer.append(entry('b'))];
    const refused = producer.append(entry('c'));
    await expect(refused).rejects.toBeInstanceOf(QueueFullError);
    await Promise.all(accepted);
    expect(log.values().sort()).toEqual(['a', 'b']);
    expect(producer.pending).toBe(0);
  });

  test('exports the number of pending and of acknowledged records', async () => {
    register.resetMetrics();
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer);
    const appended = ['a', 'b', 'c'].map((name) => producer.append(entry(name)));
    expect(await register.metrics()).toContain('orderlog_pending_records{topic="orders"} 3');
    await Promise.all(appended);
    const metrics = await register.metrics();
    expect(metrics).toContain('orderlog_pending_records{topic="orders"} 0');
    expect(metrics).toContain('orderlog_appended_records_total{topic="orders"} 3');
  });

  test('counts unverified answers and replaced clients', async () => {
    register.resetMetrics();
    const log = onFirstClient('empty-result');
    const producer = await start(log.createProducer);
    await producer.append(entry('a'));
    const metrics = await register.metrics();
    expect(metrics).toContain('orderlog_unverified_answers_total{topic="orders"} 1');
    expect(metrics).toContain('orderlog_producer_replacements_total{topic="orders"} 1');
  });
});

describe('a record with a time', () => {
  const soon = () => performance.now() + 60;
  const over = () => new Promise((resolve) => setTimeout(resolve, 100));

  test('that was not sent by then is withdrawn while Kafka is away, and does not appear when it is back', async () => {
    register.resetMetrics();
    let isBack = false;
    const log = createFakeLog(() => (isBack ? undefined : 'error'));
    const producer = await start(log.createProducer, { partitions: 1 });
    const first = producer.append(entry('without a time'));
    await new Promise(setImmediate);
    const waiting = ['a', 'b'].map((name) => producer.append({ ...entry(name), until: soon() }));
    for (const one of waiting) await expect(one).rejects.toBeInstanceOf(NotAppendedError);
    expect(producer.pending).toBe(1);
    expect(await register.metrics()).toContain(
      'orderlog_withdrawn_records_total{topic="orders"} 2',
    );
    isBack = true;
    await first;
    await producer.append(entry('later'));
    expect(log.values()).toEqual(['without a time', 'later']);
  });

  test('that is in doubt is not sent again after it, and the others of its batch are', async () => {
    let isBack = false;
    const log = createFakeLog(() => (isBack ? undefined : 'error'));
    const producer = await start(log.createProducer, { partitions: 1 });
    const doubtful = producer.append({ ...entry('a'), until: soon() });
    const lasting = producer.append(entry('b'));
    await expect(doubtful).rejects.toBeInstanceOf(AppendUnknownError);
    isBack = true;
    expect(await lasting).toEqual({ partition: 0, offset: '0' });
    expect(log.values()).toEqual(['b']);
  });

  test('does not delay the records behind it when all of a batch is over', async () => {
    let isBack = false;
    const log = createFakeLog(() => (isBack ? undefined : 'error'));
    const producer = await start(log.createProducer, { partitions: 1 });
    const doubtful = producer.append({ ...entry('a'), until: soon() });
    await expect(doubtful).rejects.toBeInstanceOf(AppendUnknownError);
    isBack = true;
    await producer.append({ ...entry('b'), until: performance.now() + 10_000 });
    expect(log.values()).toEqual(['b']);
  });

  test('is never handed to Kafka after it, also when the process stood still meanwhile', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer, { lingerMs: 80 });
    const late = producer.append({ ...entry('a'), until: soon() });
    const result = expect(late).rejects.toBeInstanceOf(NotAppendedError);
    await over();
    await result;
    expect(log.values()).toEqual([]);
  });
});

describe('close', () => {
  test('waits for pending records', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer);
    const appended = producer.append(entry('a'));
    await producer.close(1_000);
    await expect(appended).resolves.toMatchObject({ offset: '0' });
  });

  test('rejects records on their way as unknown and queued records as not appended', async () => {
    const log = createFakeLog(() => 'error');
    const producer = await start(log.createProducer, { partitions: 1 });
    const handedOver = producer.append(entry('a'));
    const settled = Promise.allSettled([handedOver]);
    await new Promise(setImmediate);
    const waiting = Promise.allSettled([producer.append(entry('b'))]);
    await producer.close(10);
    const [first] = await settled;
    const [second] = await waiting;
    expect(first).toMatchObject({ reason: expect.any(AppendUnknownError) as unknown });
    expect(second).toMatchObject({ reason: expect.any(NotAppendedError) as unknown });
  });

  test('refuses records from then on', async () => {
    const log = createFakeLog(() => undefined);
    const producer = await start(log.createProducer);
    await producer.close(0);
    await expect(producer.append(entry('a'))).rejects.toBeInstanceOf(NotAppendedError);
  });
});
