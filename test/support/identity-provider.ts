import { createSecretKey, randomUUID } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT, type JWK, type KeyLike } from 'jose';
import type { JwtSettings } from '../../platform/config/buyer-auth';
import { Secret } from '../../platform/config/reader';
import { listenOnLoopback } from './loopback-server';

export const ISSUER = 'https://id.test/';
export const AUDIENCE = 'shop';

/** Settings of a gateway that knows buyers by a shared secret. */
export const SECRET = 'a secret of the tests with 32 bytes';
export const WITH_SECRET: JwtSettings = {
  key: { secret: new Secret(SECRET) },
  algorithms: ['HS256'],
  issuer: ISSUER,
  audience: AUDIENCE,
  clockToleranceSeconds: 5,
};

/** What tokens have in common, and how a test's token differs from it. */
interface TokenOptions {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
}

/** A token of `sub` for an hour. A claim or header that is undefined is left out. */
export function sign(
  sub: string,
  key: KeyLike,
  alg: string,
  { claims = {}, header = {} }: TokenOptions = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = { iss: ISSUER, aud: AUDIENCE, sub, iat: now, exp: now + 3_600, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg, ...header }).sign(key);
}

export function signWithSecret(sub: string, options?: TokenOptions): Promise<string> {
  return sign(sub, createSecretKey(Buffer.from(SECRET)), 'HS256', options);
}

/** A key of an identity provider, under a key id of its own. */
export async function createKey(alg = 'ES256') {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const kid = randomUUID();
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' };
  return {
    jwk,
    publicKey,
    privateKey,
    token: (sub: string, { claims = {}, header = {} }: TokenOptions = {}) =>
      sign(sub, privateKey, alg, { claims, header: { kid, ...header } }),
  };
}

export type IdentityProvider = Awaited<ReturnType<typeof openIdentityProvider>>;

/** An HTTP server that publishes keys; `respond` replaces what it responds. */
export async function openIdentityProvider(...keys: readonly JWK[]) {
  let fetches = 0;
  let listener: RequestListener = () => undefined;
  const server = createServer((req, res) => {
    fetches += 1;
    listener(req, res);
  });
  const sockets = new Set<{ destroy(): unknown }>();
  server.on('connection', (socket) => sockets.add(socket));
  const { port, close } = await listenOnLoopback(server, { open: sockets });
  const publish = (...published: readonly JWK[]) => {
    listener = (_, res) => res.end(JSON.stringify({ keys: published }));
  };
  publish(...keys);
  const url = `http://127.0.0.1:${port}/jwks.json`;
  return {
    url,
    close,
    publish,
    respond: (next: RequestListener) => {
      listener = next;
    },
    fetches: () => fetches,
    settings: {
      ...WITH_SECRET,
      key: { jwksUrl: url },
      algorithms: ['ES256', 'EdDSA'],
    } satisfies JwtSettings,
  };
}
