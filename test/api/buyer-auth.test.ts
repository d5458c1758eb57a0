import { createHash, createSecretKey, randomUUID } from 'node:crypto';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { createLocalJWKSet, exportSPKI, UnsecuredJWT, type JWK, type JWTVerifyGetKey } from 'jose';
import { createBuyerAuth, userIdOf } from '../../api/buyers/buyer-auth';
import type { TokenKeys } from '../../api/buyers/jwks';
import {
  AUDIENCE,
  createKey,
  ISSUER,
  openIdentityProvider,
  sign,
  signWithSecret,
  WITH_SECRET,
  type IdentityProvider,
} from '../support/identity-provider';
import { openGateway, reply, until, type OpenGateway } from './open-gateway';
import { statusesIn } from './raw-lines';
import { sendRaw } from './raw-requests';

const UUID = '6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21';
const PURCHASE = { item_id: '101', amount: 1, request_id: UUID };

const LIMIT = { requests: 1, itemRequests: undefined, seconds: 60 };

const buyAt = async (
  { url }: Pick<OpenGateway, 'url'>,
  headers: Record<string, string>,
  fields: Record<string, unknown> = {},
) =>
  reply(
    await fetch(`${url}/buy`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ ...PURCHASE, ...fields }),
    }),
  );
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('a gateway that knows buyers by a JWKS', () => {
  let provider: IdentityProvider;
  let key: Awaited<ReturnType<typeof createKey>>;
  let ed: Awaited<ReturnType<typeof createKey>>;
  let open: OpenGateway;

  beforeAll(async () => {
    [key, ed] = await Promise.all([createKey(), createKey('EdDSA')]);
  });
  beforeEach(async () => {
    provider = await openIdentityProvider(key.jwk, ed.jwk);
    // A request of another buyer that is counted would be the second one, and refused.
    open = await openGateway({
      change: () => ({ jwt: provider.settings, rateLimit: LIMIT }),
    });
  });
  afterEach(async () => {
    await open.close();
    await provider.close();
  });

  const seconds = (offset: number) => Math.floor(Date.now() / 1_000) + offset;
  const withPayload = (token: string, payload: object) => {
    const [header, , signature] = token.split('.');
    return [header, Buffer.from(JSON.stringify(payload)).toString('base64url'), signature].join(
      '.',
    );
  };
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'u1', exp: seconds(600) };

  test('lets no buyer say what is paid with: it could be anybody else’s card', async () => {
    const payment = { payment_method: 'pm_of_another', customer: 'cus_of_another' };
    const { status, body } = await buyAt(open, bearer(await key.token('u1')), { payment });
    expect(status).toBe(400);
    expect(body['errors']).toEqual([{ path: '/payment', message: 'is not a known field' }]);
    expect(open.publisher.records).toEqual([]);
  });

  test.each([
    ['ES256', () => key],
    ['EdDSA', () => ed],
  ])('accepts a token of %s, and its sub is the user_id', async (_, of) => {
    const { status } = await buyAt(open, bearer(await of().token('u1')));
    expect(status).toBe(202);
    const [record] = open.publisher.records;
    expect(JSON.parse(String(record?.value))).toMatchObject({ user_id: 'u1', request_id: UUID });
  });

  test.each<[string, string, () => Promise<string> | string]>([
    ['has no signature', 'not accepted', () => new UnsecuredJWT(claims).encode()],
    [
      'is signed with the public key as a secret',
      'not accepted',
      async () =>
        sign('u1', createSecretKey(Buffer.from(await exportSPKI(ed.publicKey))), 'HS256', {
          header: { kid: ed.jwk.kid },
        }),
    ],
    [
      'brings its own key',
      'not known',
      async () => {
        const own = await createKey();
        return own.token('u1', { header: { jwk: own.jwk } });
      },
    ],
    [
      'is signed by another key under a known key id',
      'signature',
      async () => (await createKey()).token('u1', { header: { kid: key.jwk.kid } }),
    ],
    [
      'names a key of another algorithm',
      'not known',
      () => key.token('u1', { header: { kid: ed.jwk.kid } }),
    ],
    ['names an unknown key', 'not known', async () => (await createKey()).token('u1')],
    [
      'was changed after it was signed',
      'signature',
      async () => withPayload(await key.token('u2'), claims),
    ],
    ['has expired', 'expired', () => key.token('u1', { claims: { exp: seconds(-6) } })],
    ['is not valid yet', 'not valid yet', () => key.token('u1', { claims: { nbf: seconds(600) } })],
    ['never expires', 'exp', () => key.token('u1', { claims: { exp: undefined } })],
    ['has an issuer more', 'iss', () => key.token('u1', { claims: { iss: `${ISSUER}x` } })],
    ['has no issuer', 'iss', () => key.token('u1', { claims: { iss: undefined } })],
    ['is for somebody else', 'aud', () => key.token('u1', { claims: { aud: 'another shop' } })],
    ['is for nobody', 'aud', () => key.token('u1', { claims: { aud: undefined } })],
    ['has no subject', 'sub', () => key.token('u1', { claims: { sub: undefined } })],
    ['has an empty subject', 'sub', () => key.token('')],
    ['has a number as its subject', 'sub', () => key.token('u1', { claims: { sub: 7 } })],
    ['is no token', 'signed token', () => 'sesame'],
    ['is cut off', 'signed token', async () => (await key.token('u1')).split('.', 2).join('.')],
  ])('rejects a token that %s, before any work', async (_, why, token) => {
    const before = open.stock.snapshot();
    const { status, headers, body } = await buyAt(open, bearer(await token()), { user_id: 'u1' });
    expect(status).toBe(401);
    expect(body).toMatchObject({ type: '/problems/unauthenticated', status: 401 });
    expect(body['detail']).toContain(why);
    expect(headers.get('www-authenticate')).toBe(
      `Bearer realm="buyers of the flash sale", error="invalid_token", error_description="${String(body['detail'])}"`,
    );
    expect(open.stock.snapshot()).toBe(before);
    expect(open.publisher.records).toEqual([]);
    // Nothing of the owner's allowance is used up.
    expect((await buyAt(open, bearer(await key.token('u1')))).status).toBe(202);
  });

  test.each<[string, Record<string, string>]>([
    ['no token', {}],
    ['an empty one', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: 'Basic dTE6cGFzcw==' }],
    ['two', { authorization: 'Bearer a.b.c d.e.f' }],
  ])('rejects a request with %s, and says what is missing', async (_, headers) => {
    const answer = await buyAt(open, headers, { user_id: 'u1' });
    expect([answer.status, answer.body['type']]).toEqual([401, '/problems/unauthenticated']);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="buyers of the flash sale"');
    expect(open.publisher.records).toEqual([]);
  });

  test('allows clocks to differ by the tolerance, in both directions', async () => {
    const jwt = { ...provider.settings, clockToleranceSeconds: 300 };
    const tolerant = await openGateway({ change: () => ({ jwt }) });
    const late = await key.token('late', { claims: { exp: seconds(-60) } });
    const early = await key.token('early', { claims: { nbf: seconds(60) } });
    expect((await buyAt(tolerant, bearer(late))).status).toBe(202);
    const other = { request_id: UUID.replace('6', '7') };
    expect((await buyAt(tolerant, bearer(early), other)).status).toBe(202);
    await tolerant.close();
  });

  test('does not even look at a token of 16 KB', async () => {
    const token = await key.token('u1', { claims: { more: 'x'.repeat(12_000) } });
    const request = `POST /buy HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`;
    const [status] = statusesIn(await sendRaw(open, request));
    // By the bound of headers.
    expect(status).toBe('431');
    expect(open.logged.map(({ msg }) => msg)).not.toContain('a buyer was turned away');
  });

  test('answers 503 with a reason while it has no keys, and nothing is bought', async () => {
    provider.respond((_, res) => res.end('<!doctype html>'));
    const blind = await openGateway({ change: () => ({ jwt: provider.settings }) });
    const { status, headers, body } = await buyAt(blind, bearer(await key.token('u1')));
    expect(status).toBe(503);
    expect(body).toMatchObject({ type: '/problems/not-accepted' });
    expect(body['detail']).toContain('keys of the identity provider');
    expect(headers.get('retry-after')).toMatch(/^\d$/);
    expect(blind.publisher.records).toEqual([]);
    await until(() => blind.logged.some(({ msg }) => String(msg).includes('were not fetched')));
    // Without a token it is a 401 all the same.
    expect((await buyAt(blind, {})).status).toBe(401);
    await blind.close();
  });

  test('answers 503, not 401 and not 500, when the key at the provider cannot be used', async () => {
    provider.publish({ ...key.jwk, x: 'AAAA' });
    const broken = await openGateway({ change: () => ({ jwt: provider.settings }) });
    const { status, body } = await buyAt(broken, bearer(await key.token('u1')));
    expect([status, body['type']]).toEqual([503, '/problems/not-accepted']);
    await broken.close();
  });

  test('limits the rate of each buyer, wherever they are', async () => {
    const buyNew = async (sub: string) =>
      (await buyAt(open, bearer(await key.token(sub)), { request_id: randomUUID() })).status;
    expect([await buyNew('u1'), await buyNew('u2'), await buyNew('u1')]).toEqual([202, 202, 429]);
  });

  test('logs no token', async () => {
    const token = await key.token('u1', { claims: { exp: seconds(-60) } });
    await buyAt(open, bearer(token));
    await until(() => open.logged.some(({ msg }) => msg === 'a buyer was turned away'));
    expect(JSON.stringify(open.logged)).not.toContain(token.split('.')[1]);
  });
});

describe('a gateway that knows buyers by a secret', () => {
  let open: OpenGateway;
  beforeEach(async () => {
    open = await openGateway({ change: () => ({ jwt: WITH_SECRET }) });
  });
  afterEach(() => open.close());

  test('accepts its tokens', async () => {
    expect((await buyAt(open, bearer(await signWithSecret('u1')))).status).toBe(202);
  });

  test('stores no sub outside the pattern of user_ids, and refuses nobody for it', async () => {
    await open.close();
    const userIdPattern = /^(?:u-[0-9]+)$/u;
    open = await openGateway({ change: () => ({ jwt: WITH_SECRET, userIdPattern }) });
    const headers = bearer(await signWithSecret('ann@shop.test'));
    expect((await buyAt(open, headers)).status).toBe(202);
    const [record] = open.publisher.records;
    expect(JSON.parse(String(record?.value))).toMatchObject({
      user_id: userIdOf('ann@shop.test', userIdPattern),
    });
    expect(open.stock.snapshot() + String(record?.value)).not.toContain('ann@shop.test');
    const order = await fetch(`${open.url}/orders/${UUID}`, { headers });
    expect(order.status).toBe(200);
  });

  test('rejects tokens of another secret, and of another algorithm', async () => {
    const other = await sign('u1', createSecretKey(Buffer.alloc(32)), 'HS256');
    const signed = await (await createKey()).token('u1');
    const longer = await signWithSecret('u1', { header: { alg: 'HS512' } });
    for (const token of [other, signed, longer]) {
      expect((await buyAt(open, bearer(token))).status).toBe(401);
    }
  });

  test('believes no user_id beside the token', async () => {
    const headers = bearer(await signWithSecret('u1'));
    const { status, body } = await buyAt(open, headers, { user_id: 'u2' });
    expect([status, body['type']]).toEqual([403, '/problems/other-user']);
    expect(open.publisher.records).toEqual([]);
    expect((await buyAt(open, headers, { user_id: 'u1' })).status).toBe(202);
  });

  test.each(['req-1', UUID.slice(1), `${UUID}0`, UUID.replaceAll('-', ''), 'x'.repeat(36)])(
    'takes only UUIDs as request_ids: not %s',
    async (requestId) => {
      const headers = bearer(await signWithSecret('u1'));
      const { status, body } = await buyAt(open, headers, { request_id: requestId });
      expect([status, body['type']]).toEqual([422, '/problems/request-id-not-a-uuid']);
      expect(open.publisher.records).toEqual([]);
    },
  );

  test.each<[string, string]>([
    ['a field twice', `{"item_id":"101","item_id":"102","amount":1,"request_id":"${UUID}"}`],
    [
      'the user_id twice',
      `{"user_id":"u2","user_id":"u1","item_id":"101","amount":1,"request_id":"${UUID}"}`,
    ],
    [
      'a user_id that is none',
      `{"user_id":null,"item_id":"101","amount":1,"request_id":"${UUID}"}`,
    ],
    ['no item', `{"amount":1,"request_id":"${UUID}"}`],
  ])('finds a body invalid with %s', async (_, body) => {
    const headers = { 'content-type': 'application/json', ...bearer(await signWithSecret('u1')) };
    const answer = await reply(await fetch(`${open.url}/buy`, { method: 'POST', headers, body }));
    expect([answer.status, answer.body['type']]).toEqual([400, '/problems/invalid-request']);
    expect(open.publisher.records).toEqual([]);
  });
});

describe('a token that was verified', () => {
  const NOW = Date.parse('2026-11-29T10:00:00Z');
  const HOUR = 3_600_000;
  let key: Awaited<ReturnType<typeof createKey>>;
  /** How often a key was asked for, which is once for each verification. */
  let verifications: number;

  beforeAll(async () => {
    key = await createKey();
  });
  beforeEach(() => {
    verifications = 0;
    jest.useFakeTimers({ now: NOW, doNotFake: ['nextTick', 'setImmediate', 'performance'] });
  });
  afterEach(() => jest.useRealTimers());

  const keySet = (...jwks: JWK[]) => {
    const find = createLocalJWKSet({ keys: jwks });
    const getKey: typeof find = (header, token) => {
      verifications += 1;
      return find(header, token);
    };
    return getKey as JWTVerifyGetKey;
  };
  const settings = { ...WITH_SECRET, algorithms: ['ES256'] };
  const errors = { report: () => undefined, reportTurnedAway: () => undefined };
  const open = (keys: TokenKeys) => {
    const authenticate = createBuyerAuth(settings, errors, undefined, keys);
    return (token: string) => {
      const req = new IncomingMessage(new Socket());
      req.headers = bearer(token);
      return authenticate(req);
    };
  };

  test('names its buyer and how long it counts, and is not verified again', async () => {
    const keys = keySet(key.jwk);
    const ask = open({ current: () => keys, refetched: () => Promise.resolve(keys) });
    const token = await key.token('u1');
    for (let i = 0; i < 3; i++) {
      // Its expiry and the tolerance of 5 s.
      expect(await ask(token)).toEqual({ userId: 'u1', validUntil: NOW + HOUR + 5_000 });
    }
    expect(verifications).toBe(1);
    expect(await ask(await key.token('u2'))).toMatchObject({ userId: 'u2' });
  });

  test('is not accepted after its end, though it is known', async () => {
    const keys = keySet(key.jwk);
    const ask = open({ current: () => keys, refetched: () => Promise.resolve(keys) });
    const token = await key.token('u1');
    jest.setSystemTime(NOW + HOUR + 4_999);
    expect(await ask(token)).toMatchObject({ userId: 'u1' });
    jest.setSystemTime(NOW + HOUR + 5_000);
    expect(await ask(token)).toMatchObject({ status: 401 });
  });

  test('is not accepted once its key is withdrawn', async () => {
    let keys = keySet(key.jwk);
    const ask = open({ current: () => keys, refetched: () => Promise.resolve(keys) });
    const token = await key.token('u1');
    expect(await ask(token)).toMatchObject({ userId: 'u1' });
    keys = keySet((await createKey()).jwk);
    expect(await ask(token)).toMatchObject({ status: 401 });
  });

  test('is accepted of a key that is new at the provider', async () => {
    const next = await createKey();
    const [old, newest] = [keySet(key.jwk), keySet(key.jwk, next.jwk)];
    const ask = open({ current: () => old, refetched: () => Promise.resolve(newest) });
    expect(await ask(await next.token('u1'))).toMatchObject({ userId: 'u1' });
    expect(await ask(await (await createKey()).token('u1'))).toMatchObject({ status: 401 });
  });

  describe('that names no key', () => {
    const NAMELESS = { header: { kid: undefined } };
    const createNameless = async () => {
      const { jwk, token } = await createKey();
      return { jwk, token: () => token('u1', NAMELESS) };
    };
    const openWith = (...jwks: JWK[]) => {
      const keys = keySet(...jwks);
      return open({ current: () => keys, refetched: () => Promise.resolve(keys) });
    };

    test('is accepted of each of the keys that its provider has', async () => {
      const [old, next] = [await createNameless(), await createNameless()];
      const ask = openWith(old.jwk, next.jwk);
      expect(await ask(await old.token())).toMatchObject({ userId: 'u1' });
      expect(await ask(await next.token())).toMatchObject({ userId: 'u1' });
      expect(await ask(await (await createNameless()).token())).toMatchObject({ status: 401 });
    });

    test('is accepted though another key cannot be used', async () => {
      const next = await createNameless();
      const ask = openWith({ ...next.jwk, x: 'AAAA' }, next.jwk);
      expect(await ask(await next.token())).toMatchObject({ userId: 'u1' });
    });

    test('gets 503, not 401, while no key can be used', async () => {
      const { jwk, token } = await createNameless();
      const broken = { ...jwk, x: 'AAAA' };
      expect(await openWith(broken, broken)(await token())).toMatchObject({ status: 503 });
    });

    test('is not tried with more keys than four', async () => {
      const keys = await Promise.all(Array.from({ length: 5 }, createNameless));
      const ask = openWith(...keys.map(({ jwk }) => jwk));
      expect(await ask(String(await keys[3]?.token()))).toMatchObject({ userId: 'u1' });
      expect(await ask(String(await keys[4]?.token()))).toMatchObject({ status: 401 });
    });

    test('has expired whichever key it is of', async () => {
      const [old, next] = [await createNameless(), await createNameless()];
      const token = await next.token();
      jest.setSystemTime(NOW + 2 * HOUR);
      const answer = await openWith(old.jwk, next.jwk)(token);
      expect(answer).toMatchObject({ body: expect.stringContaining('expired') as string });
    });

    test('is accepted of a key that is new at the provider', async () => {
      const [old, next] = [await createNameless(), await createNameless()];
      const [before, after] = [keySet(old.jwk), keySet(next.jwk)];
      const ask = open({ current: () => before, refetched: () => Promise.resolve(after) });
      expect(await ask(await next.token())).toMatchObject({ userId: 'u1' });
    });
  });

  test('passes while too many others wait for their verification', async () => {
    const keys = keySet(key.jwk);
    let isHeld = false;
    let letGo: () => unknown = () => undefined;
    const held = new Promise((resolve) => {
      letGo = () => {
        resolve(undefined);
      };
    });
    const slow: JWTVerifyGetKey = async (header, token) => {
      if (isHeld) await held;
      return keys(header, token);
    };
    const ask = open({ current: () => slow, refetched: () => Promise.resolve(slow) });
    const token = await key.token('u1');
    await ask(token);
    isHeld = true;
    const crowd = Array.from({ length: 512 }, (_, i) => ask(`${token}${i}`));
    await expect(ask(`${token}x`)).rejects.toMatchObject({ problem: 'not-accepted' });
    expect(await ask(token)).toMatchObject({ userId: 'u1' });
    letGo();
    for (const one of await Promise.all(crowd)) expect(one).toMatchObject({ status: 401 });
    expect(await ask(await key.token('u2'))).toMatchObject({ userId: 'u2' });
  });
});

describe('the user_id of a sub', () => {
  test('is the sub where it can be an id', () => {
    expect(userIdOf('u1')).toBe('u1');
    expect(userIdOf('248289761001')).toBe('248289761001');
  });

  test('is a hash of any other, which anybody can compute and which never changes', () => {
    const expected = createHash('sha256')
      .update('auth0|5f7c8ec7c33c6c004bbafe82')
      .digest('base64url');
    expect(userIdOf('auth0|5f7c8ec7c33c6c004bbafe82')).toBe(`sub-${expected}`);
    expect(userIdOf('auth0|5f7c8ec7c33c6c004bbafe82')).toBe(
      'sub-QapIeIfjxFwZskSLLwNlUvALLHjiOUbTkKfoRvatWOE',
    );
    for (const sub of ['a b', 'é', '{x}', 'x'.repeat(129)]) {
      expect(userIdOf(sub)).toMatch(/^sub-[\w-]{43}$/);
    }
  });

  test('is a hash where the sub does not match the pattern of user_ids', () => {
    const pattern = /^(?:u-[0-9]+)$/u;
    expect(userIdOf('u-7', pattern)).toBe('u-7');
    expect(userIdOf('ann@shop.test', pattern)).toMatch(/^sub-[\w-]{43}$/);
  });

  test('is nobody else’s, even for a sub that looks like a hash', () => {
    expect(userIdOf(userIdOf('a|b'))).not.toBe(userIdOf('a|b'));
  });
});
