import { pino } from 'pino';
import { OperatorError } from '../../../engine/dead-letters/operator';
import {
  createActionLog,
  reportToLog,
  type Action,
  type ActionRecord,
} from '../../../engine/operators/action-log';
import { UserError } from '../../../platform/user-error';

const ACTION: Action = { action: 'stock.open', itemId: '101', why: 'a test', request: {} };

/** A log that acknowledges so many records and then is away. */
function aLog({ acknowledged = Infinity, isReachable = true } = {}) {
  const records: ActionRecord[] = [];
  const reported: unknown[] = [];
  const log = createActionLog({
    withPublisher: (use) =>
      isReachable
        ? use({
            append: ({ value }) => {
              if (records.length >= acknowledged) return Promise.reject(new Error('away'));
              records.push(JSON.parse(value.toString()) as ActionRecord);
              return Promise.resolve({ partition: 0, offset: '0' });
            },
          })
        : Promise.reject(new Error('away')),
    now: () => 0,
    report: (record, error) => reported.push([record.outcome, error]),
  });
  const record = log.recorder({ by: 'ann', door: 'cli' });
  return { record, records, reported };
}

const done = (result: unknown) => ({ outcome: 'done', before: 1, after: result }) as const;

test('an action is carried out between its two records', async () => {
  const { record, records } = aLog();
  const result = await record(
    ACTION,
    () => Promise.resolve(records.map(({ phase }) => phase)),
    done,
  );
  expect(result).toEqual(['intent']);
  expect(records).toMatchObject([
    { phase: 'intent', by: 'ann', door: 'cli', item_id: '101', role: null, outcome: null },
    { phase: 'outcome', outcome: 'done', before: 1, after: ['intent'], why: 'a test' },
  ]);
});

test.each([
  ['is away', { isReachable: false }],
  ['does not take the record of the intent', { acknowledged: 0 }],
])('nothing is done when Kafka %s', async (_what, kafka) => {
  const { record, reported } = aLog(kafka);
  const act = jest.fn(() => Promise.resolve());
  await expect(record(ACTION, act, done)).rejects.toMatchObject({ kind: 'unrecorded' });
  expect(act).not.toHaveBeenCalled();
  expect(reported).toEqual([]);
});

test.each([
  [new OperatorError('dealt-with', 'dealt with'), 'refused'],
  [new UserError('no', { exitCode: 1 }), 'refused'],
  [new OperatorError('unavailable', 'no answer'), 'unknown'],
  [new UserError('no answer'), 'unknown'],
  [new Error('a bug'), 'unknown'],
])('an action that fails with %p is recorded as %s, and fails', async (error, outcome) => {
  const { record, records } = aLog();
  await expect(record(ACTION, () => Promise.reject(error), done)).rejects.toBe(error);
  expect(records[1]).toMatchObject({ outcome, detail: error.message });
});

test('an outcome that Kafka does not take is reported, whatever the action came to', async () => {
  const sold = aLog({ acknowledged: 1 });
  expect(await sold.record(ACTION, () => Promise.resolve('x'), done)).toBe('x');
  expect(sold.reported).toEqual([['done', new Error('away')]]);
  const failed = aLog({ acknowledged: 1 });
  const bug = new Error('a bug');
  await expect(failed.record(ACTION, () => Promise.reject(bug), done)).rejects.toBe(bug);
  expect(failed.reported).toEqual([['unknown', new Error('away')]]);
});

test('a record is small enough for a broker, however much was changed', async () => {
  const { record, records } = aLog();
  const many = Array.from({ length: 100_000 }, (_, i) => ({ request_id: `req-"${String(i)}` }));
  await record(
    { ...ACTION, request: many },
    () => Promise.resolve(many),
    (after) => ({
      outcome: 'done',
      before: many,
      after,
    }),
  );
  for (const one of records) expect(JSON.stringify(one).length).toBeLessThan(700_000);
  expect(records[1]?.after).toEqual({ cut: expect.stringMatching(/^\[\{"request_id"/) as string });
});

test('a line of the log about an action names the request that asked for it', () => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino(
    {},
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  const report = reportToLog(logger);
  const record = { by: 'ann', http_request_id: 'one' } as ActionRecord;
  report(record);
  report(record, new Error('away'));
  const line = { operatorAction: record, httpRequestId: 'one' };
  expect(lines).toMatchObject([line, line]);
});
