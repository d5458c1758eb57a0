import type { Reader, Secret } from './reader';

/** By what a token may be signed: with a shared secret of at least so many bytes (RFC 7518), or with a key of a JWKS. */
const SECRET_BYTES_MIN = { HS256: 32, HS384: 48, HS512: 64 } as const;
const JWKS_ALGORITHMS = [
  'ES256',
  'ES384',
  'ES512',
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'EdDSA',
] as const;

/** How tokens of buyers are checked. */
export interface JwtSettings {
  readonly key: { readonly secret: Secret } | { readonly jwksUrl: string };
  /** Never both kinds: with a secret only HS*, so that nobody can sign with a public key as the secret. */
  readonly algorithms: readonly string[];
  readonly issuer: string;
  readonly audience: string;
  readonly clockToleranceSeconds: number;
}

/** Undefined where BUYER_AUTH is `trusted`: user_ids are believed as they come. */
export function readBuyerAuth(read: Reader, production: boolean): JwtSettings | undefined {
  const chosen = read.optional('BUYER_AUTH');
  const mode = read.oneOf('BUYER_AUTH', 'trusted', ['jwt', 'trusted']);
  const secret = read.secret('JWT_SECRET');
  const jwksUrl = read.optionalUrl('JWT_JWKS_URL');
  const issuer = read.optional('JWT_ISSUER');
  const audience = read.optional('JWT_AUDIENCE');
  const list = read.optional('JWT_ALGORITHMS');
  const clockToleranceSeconds = read.integer('JWT_CLOCK_TOLERANCE', 5, { min: 0, max: 300 });
  if (production && chosen === undefined) {
    read.fail(
      'BUYER_AUTH must be set when ENGINE_MODE is production: jwt, or trusted if only your own server can reach the gateway and vouches for every user_id',
    );
  }
  if (mode === 'trusted') {
    // With the choice made they are another program's, such as those of the shop's own server.
    if (chosen === undefined && (secret ?? jwksUrl ?? issuer ?? audience ?? list)) {
      read.fail('JWT_* are set without BUYER_AUTH: is jwt meant, or trusted?');
    }
    return undefined;
  }
  for (const [name, value] of Object.entries({
    JWT_ISSUER: issuer,
    JWT_AUDIENCE: audience,
    JWT_ALGORITHMS: list,
  })) {
    if (value === undefined) read.fail(`${name} is required with BUYER_AUTH=jwt`);
  }
  const algorithms = list?.split(',').map((name) => name.trim()) ?? [];
  const key = readKey(read, { secret, jwksUrl, algorithms, production });
  if (!key) return undefined;
  return { key, algorithms, issuer: issuer ?? '', audience: audience ?? '', clockToleranceSeconds };
}

function readKey(
  read: Reader,
  {
    secret,
    jwksUrl,
    algorithms,
    production,
  }: {
    readonly secret: Secret | undefined;
    readonly jwksUrl: string | undefined;
    readonly algorithms: readonly string[];
    readonly production: boolean;
  },
): JwtSettings['key'] | undefined {
  if ((secret === undefined) === (jwksUrl === undefined)) {
    read.fail('BUYER_AUTH=jwt needs either JWT_JWKS_URL or JWT_SECRET, and not both');
    return undefined;
  }
  if (secret) {
    checkAlgorithms(read, algorithms, Object.keys(SECRET_BYTES_MIN), 'JWT_SECRET');
    const bytes = Buffer.byteLength(secret.reveal());
    for (const [name, bytesMin] of Object.entries(SECRET_BYTES_MIN)) {
      if (!algorithms.includes(name) || bytes >= bytesMin) continue;
      read.fail(`JWT_SECRET must have at least ${bytesMin} bytes for ${name}, not ${bytes}`);
    }
    return { secret };
  }
  if (jwksUrl === undefined) return undefined;
  checkAlgorithms(read, algorithms, JWKS_ALGORITHMS, 'JWT_JWKS_URL');
  // Who can change the keys on their way can be any buyer.
  const wanted = production ? /^https:/i : /^https?:/i;
  if (!wanted.test(jwksUrl)) {
    read.fail(`JWT_JWKS_URL must begin with https://, not "${jwksUrl}"`);
  }
  return { jwksUrl };
}

function checkAlgorithms(
  read: Reader,
  algorithms: readonly string[],
  allowed: readonly string[],
  source: string,
): void {
  for (const name of algorithms) {
    if (allowed.includes(name)) continue;
    read.fail(`JWT_ALGORITHMS may list ${allowed.join(', ')} with ${source}, not "${name}"`);
  }
}
