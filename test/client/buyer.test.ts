import { buyUntilDefinite, cancelUntilDefinite } from '../../client/buyer';
import { createGateway } from '../../client/gateway';
import {
  ACCEPTED,
  anOrderBody,
  aProblem,
  startFakeGateway,
  type Reply,
} from '../support/fake-gateway';

let close: () => Promise<void> = () => Promise.resolve();
afterEach(() => close());

/** A gateway that gives these answers in turn; the last one again and again. */
async function answering(...answers: (Reply | 'hang up')[]) {
  const server = await startFakeGateway(() => {
    const [next] = answers.length > 1 ? answers.splice(0, 1) : answers;
    return next ?? 'hang up';
  });
  const gateway = createGateway(server.url);
  close = async () => {
    gateway.close();
    await server.close();
  };
  return { gateway, server };
}

const body = { user_id: 'u1', item_id: '101', amount: 1, request_id: 'req-1' };
const bounds = { withinMs: 5_000, retryMsMax: 1 };
const retryable = (type: string) => ({ ...aProblem(503, type), headers: { 'retry-after': '1' } });
const duplicate = aProblem(409, 'duplicate-request', { order: anOrderBody() });

describe('a buyer', () => {
  test.each(['not-accepted', 'outcome-unknown', 'rate-limited', 'request-in-progress'])(
    'sends the same request again after %s',
    async (type) => {
      const { gateway, server } = await answering(retryable(type), ACCEPTED);
      const purchase = await buyUntilDefinite(gateway, body, bounds);
      expect(purchase).toMatchObject({ outcome: 'accepted', tries: 2, unanswered: 0 });
      expect(server.received.map((asked) => asked.body)).toEqual([body, body]);
    },
  );

  test('sends it again after a broken connection, and learns of the order that it had made', async () => {
    const { gateway } = await answering('hang up', duplicate);
    const purchase = await buyUntilDefinite(gateway, body, bounds);
    expect(purchase).toMatchObject({ outcome: 'duplicate', tries: 2, unanswered: 1 });
  });

  test('does not ask again after a definite no', async () => {
    const { gateway, server } = await answering(aProblem(409, 'sold-out'), ACCEPTED);
    const purchase = await buyUntilDefinite(gateway, body, bounds);
    expect(purchase).toMatchObject({ outcome: 'rejected', problem: 'sold-out', tries: 1 });
    expect(server.received).toHaveLength(1);
  });

  test.each<[string, Reply]>([
    ['is no JSON', { status: 202, body: 'not an object' }],
    ['does not fit the contract', { status: 202, body: { links: {} } }],
    ['is a problem of another status', { ...aProblem(409, 'sold-out'), status: 500 }],
  ])('does not hide a response that %s behind a retry', async (_, wrong) => {
    const { gateway, server } = await answering(wrong, ACCEPTED);
    const purchase = await buyUntilDefinite(gateway, body, bounds);
    expect(purchase).toMatchObject({ outcome: 'undecided', tries: 1, unanswered: 0 });
    expect(purchase.problem).toContain('is not one of the flash-sale gateway');
    expect(server.received).toHaveLength(1);
  });

  test('waits as long as the gateway asks for', async () => {
    const { gateway } = await answering(retryable('not-accepted'), ACCEPTED);
    const startedAt = performance.now();
    await buyUntilDefinite(gateway, body, { withinMs: 5_000 });
    expect(performance.now() - startedAt).toBeGreaterThan(950);
  });

  test('gives up when the time is over, and says what it was told last', async () => {
    const { gateway } = await answering(retryable('outcome-unknown'));
    const purchase = await buyUntilDefinite(gateway, body, { withinMs: 500, retryMsMax: 1 });
    expect(purchase).toMatchObject({ outcome: 'undecided', problem: 'outcome-unknown' });
    expect(purchase.tries).toBeGreaterThan(1);
  });

  test('stops when the signal is aborted', async () => {
    const { gateway } = await answering(retryable('not-accepted'));
    const signal = AbortSignal.timeout(20);
    const buying = buyUntilDefinite(gateway, body, { withinMs: 60_000, signal });
    await expect(buying).rejects.toThrow(/abort/);
  });
});

describe('a cancellation', () => {
  const underWay: Reply = { status: 202, body: anOrderBody({ status: 'reserved' }) };
  const cancelled: Reply = { status: 200, body: anOrderBody({ status: 'cancelled' }) };
  const cancel = (gateway: Parameters<typeof cancelUntilDefinite>[0]) =>
    cancelUntilDefinite(gateway, { requestId: 'req-1', userId: 'u1' }, bounds);

  test('is sent again until it is decided', async () => {
    const { gateway } = await answering(underWay, 'hang up', cancelled);
    expect(await cancel(gateway)).toMatchObject({ response: { kind: 'cancelled' }, tries: 3 });
  });

  test('that comes too late learns how the order has ended', async () => {
    const { gateway } = await answering(
      aProblem(409, 'too-late-to-cancel', { reason: 'confirmed', order: anOrderBody() }),
    );
    const { response, problem } = await cancel(gateway);
    expect(problem).toBe('too-late-to-cancel');
    expect(response?.body).toMatchObject({ reason: 'confirmed' });
  });
});
