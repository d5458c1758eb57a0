import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Env } from '../../platform/config';
import { LOOPBACK } from '../../platform/machine';
import type { BenchEnvironment } from './environment';

const ISSUER = 'https://id.example.com/';
const AUDIENCE = 'flash-sale';
const KEY_ID = 'bench';

/** An identity provider that signs with ES256, and what a gateway needs to know of it. */
export async function startIdentityProvider({ dataDir, onEnd }: BenchEnvironment) {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: KEY_ID }] });
  const server = createServer((_, res) => res.end(jwks)).listen(0, LOOPBACK);
  await once(server, 'listening');
  onEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  const env: Env = {
    BUYER_AUTH: 'jwt',
    JWT_JWKS_URL: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}/`,
    JWT_ISSUER: ISSUER,
    JWT_AUDIENCE: AUDIENCE,
    JWT_ALGORITHMS: 'ES256',
  };
  return {
    env,
    /** Writes the tokens of so many buyers to a file, one a line, and returns its path. */
    writeTokens: async (count: number): Promise<string> => {
      const sign = (n: number) =>
        new SignJWT()
          .setProtectedHeader({ alg: 'ES256', kid: KEY_ID })
          .setIssuer(ISSUER)
          .setAudience(AUDIENCE)
          .setSubject(`u-${n}`)
          .setExpirationTime('2h')
          .sign(privateKey);
      const tokens = await Promise.all(Array.from({ length: count }, (_, n) => sign(n)));
      const file = join(dataDir, `tokens-${count}`);
      writeFileSync(file, tokens.join('\n'));
      return file;
    },
  };
}
