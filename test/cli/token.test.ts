import { createSecretKey } from 'node:crypto';
import { jwtVerify } from 'jose';
import { createContext } from '../../cli/context';
import { tokenActions } from '../../cli/token';
import { openGateway } from '../api/open-gateway';
import { AUDIENCE, ISSUER, SECRET, WITH_SECRET } from '../support/identity-provider';
import { textTerminal } from './text-terminal';

const ENV = {
  BUYER_AUTH: 'jwt',
  JWT_SECRET: SECRET,
  JWT_ISSUER: ISSUER,
  JWT_AUDIENCE: AUDIENCE,
  JWT_ALGORITHMS: 'HS256',
};

function command(env: Record<string, string> = ENV) {
  const terminal = textTerminal();
  const { token } = tokenActions(createContext({ terminal, isWatched: false, env, root: '/' }));
  return {
    run: (options: { expires?: string; json?: boolean } = {}) =>
      token({ user: 'u1', expires: '1h', ...options }),
    written: terminal.written,
  };
}

describe('flash-sale token', () => {
  test('makes a token that the gateway accepts', async () => {
    const { run, written } = command();
    expect(await run()).toBe(0);
    const open = await openGateway({ change: () => ({ jwt: WITH_SECRET }) });
    const headers = { authorization: `Bearer ${written().trim()}` };
    const path = '/orders/6f1f2a0e-9f0b-4a57-9d0c-0d4b1f8a3c21';
    expect((await fetch(open.url + path)).status).toBe(401);
    expect((await fetch(open.url + path, { headers })).status).toBe(404);
    await open.close();
  });

  test('makes it for the time that is asked for', async () => {
    const { run, written } = command();
    await run({ expires: '90s', json: true });
    const { token } = JSON.parse(written()) as { token: string };
    const { payload } = await jwtVerify(token, createSecretKey(Buffer.from(SECRET)));
    expect(payload).toMatchObject({ sub: 'u1', iss: ISSUER, aud: AUDIENCE });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(90);
  });

  test.each<[string, string, Record<string, string>]>([
    ['in production', 'Only the identity provider', { ...ENV, ENGINE_MODE: 'production' }],
    ['where every user_id is believed', 'Set BUYER_AUTH=jwt', {}],
    ['without a secret', 'JWT_JWKS_URL or JWT_SECRET', { ...ENV, JWT_SECRET: '' }],
    [
      'for the keys of an identity provider',
      'come from its identity provider',
      { ...ENV, JWT_SECRET: '', JWT_JWKS_URL: 'https://id.test/', JWT_ALGORITHMS: 'ES256' },
    ],
  ])('is refused %s', async (_, fault, env) => {
    const { run, written } = command(env);
    await expect(run()).rejects.toThrow(fault);
    expect(written()).toBe('');
  });
});
