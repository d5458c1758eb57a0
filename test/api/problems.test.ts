import { Value } from '@sinclair/typebox/value';
import { PROBLEM_SCHEMAS } from '../../api/routes/openapi';
import { PROBLEMS } from '../../api/http/problems';
import { buy, openGateway, reply, type OpenGateway } from './open-gateway';

/** The public contract of POST /buy, by hand: a change here breaks buyers' programs. */
const OF_BUY = {
  'invalid-request': 400,
  'unknown-item': 404,
  'duplicate-request': 409,
  'request-in-progress': 409,
  'sold-out': 409,
  'purchase-limit': 409,
  'sale-not-open': 409,
  'sale-over': 409,
  'too-large': 413,
  'unsupported-media-type': 415,
  'request-id-reused': 422,
  'request-id-not-a-uuid': 422,
  'other-user': 403,
  unauthenticated: 401,
  'rate-limited': 429,
  'not-accepted': 503,
  'selling-stopped': 503,
  'outcome-unknown': 503,
  internal: 500,
};

/** What every path may answer, and the reads and cancellations of orders. */
const OF_OTHERS = {
  'unknown-order': 404,
  'no-archive': 404,
  'not-the-buyer': 403,
  'too-late-to-cancel': 409,
  'not-found': 404,
  'method-not-allowed': 405,
  'request-timeout': 408,
  'headers-too-large': 431,
};

let open: OpenGateway;
beforeAll(async () => {
  open = await openGateway();
});
afterAll(() => open.close());

const OF_OPERATORS = {
  'operator-disabled': 404,
  unauthorized: 401,
  forbidden: 403,
  'unknown-dead-letter': 404,
  'dealt-with': 409,
  'several-dead-letters': 409,
  'not-replayable': 409,
  'not-refundable': 409,
  'refund-refused': 409,
  'refund-failed': 409,
  'not-restocked': 409,
  'unfinished-orders': 409,
  'units-owned': 409,
  'stale-stock': 412,
  'operation-reused': 422,
  'unreadable-stock': 409,
  'dependency-unavailable': 503,
};

describe('the problems of the gateway', () => {
  test('are those of its contract, no more and no fewer, each with its status', () => {
    const statuses = Object.entries(PROBLEMS).map(([type, { status }]) => [type, status]);
    expect(Object.fromEntries(statuses)).toEqual({
      ...OF_BUY,
      ...OF_OTHERS,
      ...OF_OPERATORS,
    });
  });

  test('are explained where their type points', async () => {
    for (const [type, { status, title, detail }] of Object.entries(PROBLEMS)) {
      const answer = await reply(await fetch(`${open.url}/problems/${type}`));
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ type: `/problems/${type}`, title, status, detail });
    }
  });
});

describe('a purchase of an item whose ledger is lost', () => {
  test('is not accepted, with a member of the document that says so', async () => {
    const lost = await openGateway({
      change: () => ({ ledgers: { resolve: () => Promise.resolve('lost') } }),
    });
    try {
      const { status, body } = await buy(lost, { item_id: 'not-there-any-more' });
      expect(status).toBe(503);
      expect(body).toMatchObject({ type: '/problems/not-accepted', ledger: 'lost' });
      expect([...Value.Errors(PROBLEM_SCHEMAS['not-accepted'], body)]).toEqual([]);
    } finally {
      await lost.close();
    }
  });
});
