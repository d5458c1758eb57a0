import { createFakeArchive, anArchivedOrder, type FakeArchive } from '../support/fake-archive';
import { openOperatorGateway, problemType, TOKENS, type OperatorGateway } from './operator-gateway';

const REFUND = { kind: 'refund', id: 're_1', amountMinor: 400, at: 1_000 } as const;
const BODY = { operation_id: 'op-1', why: 'returned' };

let fake: FakeArchive;
let open: OperatorGateway;
beforeEach(async () => {
  fake = createFakeArchive();
  fake.answers.orders = [anArchivedOrder({ amount: 2 })];
  open = await openOperatorGateway({ archive: fake.archive });
});
afterEach(() => open.close());

const refund = (body: object = BODY, token = TOKENS.operate) =>
  open.ask('POST', '/orders/req-1/refund', body, token);

describe('a refund', () => {
  test('is asked for under its operation id, and answered with what has become of it', async () => {
    const result = { refund: { ...REFUND, status: 'succeeded' } as const, restocked: 2 };
    open.answers.refund = () => Promise.resolve({ kind: 'done', result });
    const answer = await refund({ ...BODY, amount_minor: 400, restock: 2, by: 'ann' });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        request_id: 'req-1',
        operation_id: 'op-1',
        status: 'succeeded',
        refund_id: 're_1',
        amount_minor: 400,
        currency: 'USD',
        restocked: 2,
      },
    });
    expect(open.refunds).toEqual([
      {
        itemId: '101',
        requestId: 'req-1',
        orderId: 'order-1',
        operationId: 'op-1',
        amountMinor: 400,
        restock: 2,
        by: 'otto for ann',
        why: 'returned',
      },
    ]);
  });

  test.each([
    ['under way', { kind: 'pending' } as const],
    [
      'not decided',
      { kind: 'done', result: { refund: { ...REFUND, status: 'pending' }, restocked: 0 } } as const,
    ],
  ])('that is %s is answered with 202', async (_, outcome) => {
    open.answers.refund = () => Promise.resolve(outcome);
    expect(await refund()).toMatchObject({
      status: 202,
      body: { status: 'pending', restocked: 0 },
    });
  });

  test.each([
    [{ kind: 'operation-reused' } as const, 422, 'operation-reused', undefined],
    [
      { kind: 'refused', code: 'amount_too_large' } as const,
      409,
      'refund-refused',
      'amount_too_large',
    ],
    [{ kind: 'failed', code: 'account_closed' } as const, 409, 'refund-failed', 'account_closed'],
    [{ kind: 'not-restocked', code: 'retired' } as const, 409, 'not-restocked', 'retired'],
  ])('that comes to %j is a problem', async (outcome, status, type, code) => {
    open.answers.refund = () => Promise.resolve(outcome);
    const answer = await refund();
    expect([answer.status, problemType(answer), answer.body['code']]).toEqual([status, type, code]);
    expect(open.actions.at(-1)).toMatchObject({ phase: 'outcome', outcome: 'refused' });
  });

  test('without an answer of Temporal may be repeated', async () => {
    open.answers.refund = () => Promise.reject(new Error('away'));
    expect(problemType(await refund())).toBe('dependency-unavailable');
    expect(open.actions.at(-1)).toMatchObject({ outcome: 'unknown' });
  });

  test.each([
    ['an amount of nothing', { ...BODY, amount_minor: 0 }],
    ['more than was paid', { ...BODY, amount_minor: 2_001 }],
    ['more units than were sold', { ...BODY, restock: 3 }],
    ['no reason', { operation_id: 'op-1' }],
    ['no operation', { why: 'returned' }],
    ['an operation with a slash', { ...BODY, operation_id: 'a/b' }],
    ['a long operation', { ...BODY, operation_id: 'x'.repeat(49) }],
  ])('of %s is invalid', async (_, body) => {
    expect(problemType(await refund(body))).toBe('invalid-request');
    expect(open.refunds).toEqual([]);
  });

  test('is for operators who may change something', async () => {
    expect((await refund(BODY, TOKENS.read)).status).toBe(403);
    expect(open.refunds).toEqual([]);
  });

  test('of an order that is not sold, or older than order ids, is refused', async () => {
    for (const order of [
      { status: 'failed' },
      { status: 'queued' },
      { orderId: 'req-1@1' },
    ] as const) {
      const opened = await openOperatorGateway({
        archive: ((one) => {
          one.answers.orders = [anArchivedOrder(order)];
          return one.archive;
        })(createFakeArchive()),
      });
      const answer = await opened
        .ask('POST', '/orders/req-1/refund', BODY, TOKENS.operate)
        .finally(opened.close);
      expect([answer.status, problemType(answer)]).toEqual([409, 'not-refundable']);
      expect(opened.refunds).toEqual([]);
    }
    expect(problemType(await open.ask('POST', '/orders/req-2/refund', BODY))).toBe('unknown-order');
  });
});

test('an order shows its refunds and disputes', async () => {
  fake.answers.orders = [anArchivedOrder({ refundedMinor: 400 })];
  fake.answers.returns = [
    { ...REFUND, operationId: 'op-1', status: 'succeeded' },
    {
      kind: 'dispute',
      id: 'dp_1',
      amountMinor: 1000,
      status: 'open',
      at: 2_000,
      reason: 'fraudulent',
    },
  ];
  expect((await open.ask('GET', '/orders/req-1')).body).toMatchObject({
    status: 'confirmed',
    refunded_minor: 400,
    refunds: [
      { id: 're_1', operation_id: 'op-1', amount_minor: 400, status: 'succeeded', reason: null },
    ],
    disputes: [{ id: 'dp_1', amount_minor: 1000, status: 'open', reason: 'fraudulent' }],
  });
});
