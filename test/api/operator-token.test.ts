import { DEAD_LETTER_ROUTES } from '../../api/routes/operator/dead-letters';
import { ORDER_ROUTES } from '../../api/routes/operator/orders';
import { SELLING_ROUTES } from '../../api/routes/operator/selling';
import { STOCK_ROUTES } from '../../api/routes/operator/stock';
import { openGateway, reply } from './open-gateway';
import {
  openOperatorGateway,
  problemType as type,
  TOKEN,
  TOKENS,
  type OperatorGateway,
} from './operator-gateway';

let gateway: OperatorGateway;
const open = async () => {
  gateway = await openOperatorGateway();
  return gateway;
};
afterEach(() => gateway.close());

const ROUTES = [...SELLING_ROUTES, ...STOCK_ROUTES, ...ORDER_ROUTES, ...DEAD_LETTER_ROUTES].map(
  ({ method, path }) => [
    method.toUpperCase(),
    path.replace('/operator', '').replace(/\{\w+\}/, '101'),
  ],
);

describe('the token of an operator', () => {
  test.each(ROUTES)('is checked on %s %s before any work', async (method, path) => {
    const { ask, logged, restocks } = await open();
    const body = method === 'GET' ? undefined : '{not json';
    const answers = [
      await ask(method, path, body, ''),
      await ask(method, path, body, 'wrong-token-of-length'),
      await ask(method, path, body, `${TOKEN}x`),
    ];
    for (const answer of answers) {
      expect([answer.status, type(answer)]).toEqual([401, 'unauthorized']);
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
    }
    expect(restocks).toEqual([]);
    expect(JSON.stringify(logged)).toContain('an operator was turned away');
    expect(JSON.stringify(logged)).not.toMatch(/wrong-token-of-length|a-token-of-some-length/);
  });

  test.each(ROUTES)('opens nothing on a gateway without one: %s %s', async (method, path) => {
    await open();
    const closed = await openGateway();
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await reply(
      await fetch(`${closed.adminUrl}/operator${path}`, { method, headers }),
    );
    await closed.close();
    expect([answer.status, type(answer)]).toEqual([404, 'operator-disabled']);
  });

  test.each(ROUTES)('opens %s %s to the role operate', async (method, path) => {
    const { ask } = await open();
    const body = method === 'GET' ? undefined : '{not json';
    const { status } = await ask(method, path, body, TOKENS.operate);
    expect(status).not.toBe(401);
    expect(status).not.toBe(403);
  });

  test.each(ROUTES)('of the role read opens %s %s only if it is a GET', async (method, path) => {
    const { ask, restocks, logged } = await open();
    const body = method === 'GET' ? undefined : '{not json';
    const answer = await ask(method, path, body, TOKENS.read);
    if (method === 'GET') {
      expect([401, 403]).not.toContain(answer.status);
      return;
    }
    expect([answer.status, type(answer)]).toEqual([403, 'forbidden']);
    expect(answer.headers.get('www-authenticate')).toMatch(/error="insufficient_scope"$/);
    expect(restocks).toEqual([]);
    expect(JSON.stringify(logged)).toContain('"name":"rita"');
  });

  test('is accepted in every form of the scheme, and only in the header', async () => {
    const { adminUrl, ask } = await open();
    const items = `${adminUrl}/operator/items/101`;
    for (const authorization of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`]) {
      expect((await fetch(items, { headers: { authorization } })).status).toBe(200);
    }
    for (const authorization of [TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN} x`, 'Bearer']) {
      expect((await fetch(items, { headers: { authorization } })).status).toBe(401);
    }
    expect((await ask('GET', `/items/101?token=${TOKEN}`, undefined, '')).status).toBe(401);
  });
});
