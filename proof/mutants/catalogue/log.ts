import type { Mutant } from '../mutant';

/** Kafka: what is called appended, and when a record is done with. */
export const LOG_MUTANTS: readonly Mutant[] = [
  {
    name: 'answer-of-the-producer-believed',
    breaks: 'Only what Kafka names with partition and offset is appended.',
    edits: [
      {
        file: 'engine/kafka/batch-delivery.ts',
        find: 'if (offset < 0n) {',
        replace: 'if (offset < -1n) {',
      },
    ],
    tests: [
      'test/engine/kafka/safe-producer.test.ts',
      'test/engine/kafka/safe-producer-faults.test.ts',
    ],
  },
  {
    name: 'sends-of-a-partition-overtake-each-other',
    breaks: 'One send per partition is under way at a time, so that a lost answer hits one batch.',
    edits: [
      {
        file: 'engine/kafka/safe-producer.ts',
        find: 'await send(takeBatch(records));',
        replace: 'void send(takeBatch(records));',
      },
    ],
    tests: ['test/engine/kafka/safe-producer.test.ts'],
  },
  {
    name: 'commit-before-the-start',
    breaks: 'An offset is committed after everything below it is started.',
    edits: [
      {
        file: 'engine/kafka/consume-batch.ts',
        find: '    if (!(await finishChunk(records, payload, context))) return;\n',
        replace: '',
      },
      {
        file: 'engine/kafka/consume-batch.ts',
        find: '    await payload.heartbeat();\n  }\n',
        replace:
          '    await payload.heartbeat();\n    if (!(await finishChunk(records, payload, context))) return;\n  }\n',
      },
    ],
    tests: ['test/engine/kafka/consume-batch.test.ts'],
  },
  {
    name: 'start-not-waited-for',
    breaks: 'A record is finished once Temporal has acknowledged its start.',
    edits: [
      {
        file: 'ingest/start-orders.ts',
        find: 'const result = await starter.start(input);',
        replace:
          "starter.start(input).catch(() => undefined);\n    const result = await Promise.resolve({ kind: 'started' } as Awaited<ReturnType<OrderStarter['start']>>);",
      },
    ],
    tests: ['test/ingest/start-orders.test.ts'],
  },
  {
    name: 'repetition-not-compared',
    breaks: 'A workflow that exists already is a repetition only if it is for the same order.',
    edits: [
      {
        file: 'ingest/start-orders.ts',
        find: "if (result.fingerprint === order.fingerprint) return 'repeated';",
        replace: "if (result.fingerprint !== '') return 'repeated';",
      },
    ],
    tests: ['test/ingest/start-orders.test.ts'],
  },
];
