import { REPLAY_STARTS_MAX } from '../../api/routes/operator/dead-letters';
import { aFailedOrder, marked } from '../cli/letters';
import {
  openOperatorGateway,
  problemType as type,
  TOKEN,
  type OperatorGateway,
} from './operator-gateway';

let gateway: OperatorGateway;
const open = async (...args: Parameters<typeof openOperatorGateway>) => {
  gateway = await openOperatorGateway(...args);
  return gateway;
};
afterEach(() => gateway.close());

const WHO = { by: 'ann', why: 'renewed' };

describe('bad input', () => {
  const restock = { units: 5, operation_id: 'op', by: 'ann' };
  const replay = { ids: ['a'], ...WHO };
  test.each([
    ['PUT', '/items/101', {}, ['']],
    ['PUT', '/items/101', { price_minor: 5, why: ' ' }, ['/why']],
    ['PUT', '/items/101', { price_minor: 5, by: '' }, ['/by']],
    ['PUT', '/items/101', { by: 'ann', price: 1 }, ['/price']],
    ['PUT', '/items/101', { by: 'ann', price_minor: 0 }, ['/price_minor']],
    ['PUT', '/items/101', { by: 'ann', price_minor: 1.5 }, ['/price_minor']],
    ['PUT', '/items/101', { by: 'ann', price_minor: '10' }, ['/price_minor']],
    ['PUT', '/items/101', { by: 'ann', currency: 'XYZ' }, ['/currency']],
    ['PUT', '/items/101', { by: 'ann', currency: 5 }, ['/currency']],
    ['PUT', '/items/101', { by: 'ann', units_per_user: 0 }, ['/units_per_user']],
    ['PUT', '/items/101', { by: 'ann', opens_at: 'tomorrow' }, ['/opens_at']],
    ['PUT', '/items/101', { by: 'ann', closes_at: '2026-02-31' }, ['/closes_at']],
    ['PUT', '/items/101', { by: 'ann', pay: 'cash' }, ['/pay']],
    ['PUT', '/items/101', { by: 'ann', pay: 'checkout' }, ['/pay_within_seconds']],
    ['PUT', '/items/101', { by: 'ann', pay_within_seconds: 600 }, ['/pay_within_seconds']],
    ...[4, 43_201, 9.5, '600'].map((seconds): [string, string, object, string[]] => [
      'PUT',
      '/items/101',
      { by: 'ann', pay: 'checkout', pay_within_seconds: seconds },
      ['/pay_within_seconds'],
    ]),
    [
      'PUT',
      '/items/101',
      { by: 'ann', pay: 'charge', pay_within_seconds: 600 },
      ['/pay_within_seconds'],
    ],
    ['PUT', '/items/101', { by: 'a\nb' }, ['/by']],
    ['POST', '/items/101/restock', { ...restock, units: -5 }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: 0.5 }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: '5' }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: 0 }, ['/units']],
    ['POST', '/items/101/restock', { ...restock, units: undefined, free: -1 }, ['/free']],
    ['POST', '/items/101/restock', { ...restock, free: 5 }, ['']],
    ['POST', '/items/101/restock', { ...restock, units: undefined }, ['']],
    ['POST', '/items/101/restock', { units: 5 }, ['/operation_id']],
    ['POST', '/items/101/restock', { ...restock, operation_id: 'a b' }, ['/operation_id']],
    ['POST', '/items/101/restock', [], ['']],
    ['GET', '/dead-letters?limit=0', undefined, ['/limit']],
    ['GET', '/dead-letters?limit=201', undefined, ['/limit']],
    ['GET', '/dead-letters?reason=luck', undefined, ['/reason']],
    ['GET', '/dead-letters?since=yesterday', undefined, ['/since']],
    ['GET', '/dead-letters?all=yes', undefined, ['/all']],
    ['GET', '/dead-letters?colour=red', undefined, ['/colour']],
    ['GET', '/dead-letters?item_id=1&item_id=2', undefined, ['/item_id']],
    ['GET', '/dead-letters/stats?limit=5', undefined, ['/limit']],
    ['POST', '/dead-letters/replay', { ids: ['a'] }, ['/why']],
    ['POST', '/dead-letters/replay', { ...replay, why: ' ' }, ['/why']],
    ['POST', '/dead-letters/replay', { ...replay, why: 'x'.repeat(501) }, ['/why']],
    ['POST', '/dead-letters/replay', { ...replay, ids: [] }, ['/ids']],
    ['POST', '/dead-letters/replay', { ...replay, ids: 'a' }, ['/ids']],
    ['POST', '/dead-letters/replay', { ...replay, ids: [1] }, ['/ids/0']],
    ['POST', '/dead-letters/replay', { ...replay, max: REPLAY_STARTS_MAX + 1 }, ['/max']],
    ['POST', '/dead-letters/replay', { ...replay, rate: 0 }, ['/rate']],
    ['POST', '/dead-letters/replay', { ...replay, dry_run: 'yes' }, ['/dry_run']],
    ['POST', '/dead-letters/replay', { ...WHO, mended: {} }, ['/mended']],
    ['POST', '/dead-letters/replay', { ...replay, mended: 'x' }, ['/mended']],
    ['POST', '/dead-letters/discard', { ids: ['a'], by: 'ann' }, ['/why']],
    ['POST', '/dead-letters/discard', { ...WHO }, ['/ids']],
    ['POST', '/orders/a/retry', { by: 'ann' }, ['/why']],
    ['POST', '/orders/a/retry', { ...WHO, max: 1 }, ['/max']],
    ['POST', '/orders/a/retry', 'not json', ['']],
    ['POST', '/orders/a/retry', 'null', ['']],
    ['POST', '/orders/a/retry', '', ['']],
  ])(
    '%s %s with %j is refused by field, and nothing is done',
    async (method, path, body, paths) => {
      const { ask, restocks, changes, starts, marks } = await open({
        letters: [aFailedOrder('a')],
      });
      const answer = await ask(method, path, body);
      expect([answer.status, type(answer)]).toEqual([400, 'invalid-request']);
      const errors = answer.body['errors'] as { path: string; message: string }[];
      expect(errors.map((error) => error.path)).toEqual(paths);
      for (const { message } of errors) expect(message).toMatch(/^(must|is|takes)/);
      expect([restocks, changes, starts, marks]).toEqual([[], [], [], []]);
    },
  );

  test('a period that ends before it begins, an unknown id, and one that is dealt with', async () => {
    const { ask, starts } = await open({ letters: [marked(aFailedOrder('gone'), 'discarded')] });
    const window = await ask('GET', '/dead-letters?since=2026-11-25&until=2026-11-24');
    expect([window.status, window.body['detail']]).toEqual([
      400,
      expect.stringContaining('since is later than until') as string,
    ]);
    const replay = (id: string) => ask('POST', '/dead-letters/replay', { ids: [id], ...WHO });
    expect(type(await replay('nobody'))).toBe('unknown-dead-letter');
    const gone = await replay('gone');
    expect([type(gone), gone.body['detail']]).toEqual([
      'dealt-with',
      expect.stringContaining('the buyer has gone') as string,
    ]);
    expect(starts).toEqual([]);
  });

  test('a body that is too large, or of another type', async () => {
    const { ask, adminUrl } = await open();
    const large = await ask('POST', '/dead-letters/replay', { ...WHO, why: 'x'.repeat(20_000) });
    expect([large.status, type(large)]).toEqual([413, 'too-large']);
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'text/plain' };
    const body = '{}';
    const text = await fetch(`${adminUrl}/operator/orders/a/retry`, {
      method: 'POST',
      headers,
      body,
    });
    expect(text.status).toBe(415);
    expect((await ask('DELETE', '/items/101')).status).toBe(405);
  });
});
