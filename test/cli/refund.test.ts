import { refund, type RefundOptions } from '../../cli/refund';
import { GatewayError, type Gateway } from '../../client/gateway';
import { textTerminal } from './text-terminal';

type Answer = Awaited<ReturnType<Gateway['refund']>>;

const DONE: Answer = {
  kind: 'refund',
  body: {
    request_id: 'req-1',
    operation_id: 'op-1',
    status: 'succeeded',
    refund_id: 're_1',
    amount_minor: 250,
    currency: 'USD',
    restocked: 1,
  },
};

async function run(answer: Answer | Error, options: Partial<RefundOptions> = {}, currency = 'USD') {
  const asked: unknown[] = [];
  const terminal = textTerminal();
  const gateway = {
    operatorOrder: () =>
      Promise.resolve({ currency } as Awaited<ReturnType<Gateway['operatorOrder']>>),
    refund: (...request: unknown[]) => {
      asked.push(request);
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  const all = { requestId: 'req-1', operationId: 'op-1', why: 'returned', by: 'ann', ...options };
  const done = await refund({ gateway, terminal }, all).catch((error: unknown) => error as Error);
  return { done, asked, text: terminal.written() };
}

test('gives back an amount in the currency of the order, and units', async () => {
  const { done, asked, text } = await run(DONE, { amount: '2.50', restock: 1 });
  expect(done).toBe(0);
  const body = { operation_id: 'op-1', why: 'returned', by: 'ann', amount_minor: 250, restock: 1 };
  expect(asked).toEqual([['req-1', body]]);
  expect(text).toContain('2.50 USD of req-1 given back (re_1), 1 units on sale again.');
  expect((await run(DONE, { amount: '250' }, 'JPY')).asked).toMatchObject(
    [[{}, { amount_minor: 250 }]].map(([, b]) => ['req-1', b]),
  );
  const wrong = await run(DONE, { amount: '2.5' }, 'JPY');
  expect(wrong.done).toMatchObject({
    message: expect.stringContaining('no price in JPY') as string,
  });
  expect(wrong.asked).toEqual([]);
});

test('says how to go on while it is under way', async () => {
  const body = { ...DONE.body, status: 'pending', amount_minor: null } as never;
  const { done, text } = await run({ kind: 'refund', body });
  expect(done).toBe(0);
  expect(text).toContain('--operation-id op-1');
});

test('says why there is none, and needs a reason', async () => {
  const problem = {
    kind: 'problem',
    problem: 'refund-refused',
    retryAfterMs: undefined,
    body: {
      type: '/problems/refund-refused',
      title: 'The refund is refused',
      status: 409,
      detail: 'Nothing was changed.',
      code: 'amount_too_large',
    },
  } as const;
  expect((await run(problem)).done).toMatchObject({
    exitCode: 1,
    message: 'The refund is refused (amount_too_large): Nothing was changed.',
  });
  const { done, asked } = await run(DONE, { why: '' });
  expect(done).toMatchObject({ message: expect.stringContaining('Say why') as string });
  expect(asked).toEqual([]);
});

test('names its operation where the answer is lost', async () => {
  const { done } = await run(new GatewayError('No answer.', true));
  expect(done).toMatchObject({ message: expect.stringContaining('--operation-id op-1') as string });
});
