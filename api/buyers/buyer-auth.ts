import { createSecretKey, hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import {
  decodeProtectedHeader,
  errors as joseErrors,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  type KeyLike,
} from 'jose';
import { isId, type UserId } from '../../engine/orders/order';
import type { JwtSettings } from '../../platform/config/buyer-auth';
import { bearerToken } from '../http/clients';
import { RequestError, type AuthLog, type ErrorLog } from '../http/errors';
import { createInFlight } from '../http/limits';
import { problem } from '../http/problems';
import { httpRequestId } from '../http/request-id';
import type { HttpResponse } from '../http/response';
import { createJwks, type TokenKeys } from './jwks';

/** Who sent a request, by its token. */
export interface Buyer {
  readonly userId: UserId;
  /** Milliseconds since the epoch: from then on the token is not accepted. */
  readonly validUntil: number;
}

/** The buyer, or the response to a request that does not say who sends it. Throws RequestError. */
export type Authenticate = (req: IncomingMessage) => Promise<Buyer | HttpResponse>;

/**
 * Verified tokens that are remembered: some 20 MB. A verification takes 140 µs of CPU with ES256 and 70 with RS256, finding
 * a known token 2. Beyond it the one that was verified first is forgotten.
 */
const TOKENS_MAX = 50_000;

/** Verifications at once, 70 ms of work: a crowd with wrong tokens must not queue up before the one with right ones. */
const VERIFICATIONS_MAX = 512;

/** While a provider changes keys it has the old, the new and perhaps the next one: four verifications are 0.6 ms at most. */
const KEYS_TRIED_MAX = 4;

/** Checks the bearer tokens of buyers. */
export function createBuyerAuth(
  settings: JwtSettings,
  errors: AuthLog,
  userIdPattern?: RegExp,
  keys: TokenKeys = createKeys(settings, errors),
): Authenticate {
  const { issuer, audience, clockToleranceSeconds: clockTolerance } = settings;
  const algorithms = [...settings.algorithms];
  const requiredClaims = ['exp', 'sub'];
  const verifying = createInFlight(VERIFICATIONS_MAX);
  /** By the hash of the token: tokens are secrets of buyers, and can be long. */
  const verified = new Map<string, Buyer>();
  let verifiedWith: JWTVerifyGetKey | undefined;

  const verify = async (token: string, getKey: JWTVerifyGetKey): Promise<Buyer> => {
    if (!verifying.enter()) {
      throw new RequestError('too many tokens to verify', { problem: 'not-accepted' });
    }
    try {
      const options = { algorithms, issuer, audience, clockTolerance, requiredClaims };
      const { payload } = await verifyWithAny(token, getKey, options);
      const { sub, exp = 0 } = payload;
      if (typeof sub !== 'string' || sub === '') {
        throw new joseErrors.JWTClaimValidationFailed('no text', payload, 'sub', 'invalid');
      }
      return { userId: userIdOf(sub, userIdPattern), validUntil: (exp + clockTolerance) * 1_000 };
    } finally {
      verifying.leave();
    }
  };

  /** The key of a token may be new at the identity provider. */
  const verifyWithNewest = async (token: string, getKey: JWTVerifyGetKey): Promise<Buyer> => {
    try {
      return await verify(token, getKey);
    } catch (error) {
      if (!isOfUnknownKey(error, token)) throw error;
      const newest = await keys.refetched();
      if (!newest || newest === getKey) throw error;
      return verify(token, newest);
    }
  };

  const turnAway = (req: IncomingMessage, why?: string): HttpResponse => {
    const fields = { httpRequestId: httpRequestId(req) };
    errors.reportTurnedAway('a buyer was turned away', why ?? 'no token', fields);
    return unauthenticated(why);
  };

  return async (req) => {
    const token = bearerToken(req);
    if (token === undefined) return turnAway(req);
    const getKey = keys.current() ?? (await keys.refetched());
    if (!getKey) return problem('not-accepted', { detail: NO_KEYS });
    if (getKey !== verifiedWith) {
      // Tokens of a key that was withdrawn are not accepted any more.
      verified.clear();
      verifiedWith = getKey;
    }
    const id = hash('sha256', token, 'base64url');
    const known = verified.get(id);
    if (known && Date.now() < known.validUntil) return known;
    try {
      const buyer = await verifyWithNewest(token, getKey);
      if (getKey === verifiedWith) remember(verified, id, buyer);
      return buyer;
    } catch (error) {
      if (error instanceof RequestError) throw error;
      if (error instanceof joseErrors.JOSEError && !(error instanceof joseErrors.JWKSInvalid)) {
        return turnAway(req, explain(error));
      }
      // A key of the JWKS that cannot be used.
      const fields = { httpRequestId: httpRequestId(req) };
      errors.report('a token of a buyer could not be verified', error, fields);
      return problem('not-accepted', { detail: NO_KEYS });
    }
  };
}

/** A token need not name its key: where several fit, they are tried one after the other. */
async function verifyWithAny(
  token: string,
  getKey: JWTVerifyGetKey,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, getKey, options);
  } catch (error) {
    if (!(error instanceof joseErrors.JWKSMultipleMatchingKeys)) throw error;
    let last: unknown = new joseErrors.JWKSInvalid('no key that fits can be used', {
      cause: error,
    });
    let tried = 0;
    // Those that cannot be used are left out.
    for await (const key of error as unknown as AsyncIterable<KeyLike>) {
      if (++tried > KEYS_TRIED_MAX) break;
      try {
        return await jwtVerify(token, key, options);
      } catch (mismatch) {
        if (!(mismatch instanceof joseErrors.JWSSignatureVerificationFailed)) throw mismatch;
        last = mismatch;
      }
    }
    throw last;
  }
}

/** Names a key that is not known; or names none, and is signed by none of those that are. */
function isOfUnknownKey(error: unknown, token: string): boolean {
  if (error instanceof joseErrors.JWKSNoMatchingKey) return true;
  if (!(error instanceof joseErrors.JWSSignatureVerificationFailed)) return false;
  return decodeProtectedHeader(token).kid === undefined;
}

const NO_KEYS =
  'The keys of the identity provider cannot be read, so nobody’s token can be checked. Nothing was changed; try again.';

function createKeys({ key }: JwtSettings, errors: ErrorLog): TokenKeys {
  if ('jwksUrl' in key) return createJwks(key.jwksUrl, errors);
  const secret = createSecretKey(Buffer.from(key.secret.reveal()));
  const getKey = () => Promise.resolve(secret);
  return { current: () => getKey, refetched: () => Promise.resolve(getKey) };
}

function remember(verified: Map<string, Buyer>, id: string, buyer: Buyer): void {
  const [first] = verified.keys();
  if (verified.size >= TOKENS_MAX && first !== undefined) verified.delete(first);
  verified.set(id, buyer);
}

/** The prefix of user_ids that are made from a `sub`. */
const HASHED = 'sub-';

/**
 * The user_id of a token's `sub`: the `sub` itself where it can be an id and matches the pattern, if there is one; else a
 * hash of it, which is always the same. A `sub` that looks like such a hash is hashed as well, so that no two of them are one
 * user.
 */
export function userIdOf(sub: string, pattern?: RegExp): UserId {
  const isUserId = isId(sub) && !sub.startsWith(HASHED) && pattern?.test(sub) !== false;
  if (isUserId) return sub as UserId;
  return `${HASHED}${hash('sha256', sub, 'base64url')}` as UserId;
}

/** What is wrong with a token, for its owner: none of it is taken from the token. */
function explain(error: joseErrors.JOSEError): string {
  if (error instanceof joseErrors.JWTExpired) return 'The token has expired.';
  if (error instanceof joseErrors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (reason === 'missing') return `The token has no claim ${claim}.`;
    if (claim === 'nbf') return 'The token is not valid yet.';
    return `The claim ${claim} of the token is not the expected one.`;
  }
  if (error instanceof joseErrors.JOSEAlgNotAllowed) return 'The algorithm is not accepted.';
  if (error instanceof joseErrors.JWKSNoMatchingKey) return 'The key of the token is not known.';
  if (error instanceof joseErrors.JWSSignatureVerificationFailed) return 'The signature is wrong.';
  return 'It is not a signed token with a subject and an expiry.';
}

/** RFC 6750: a request without a token learns no more than that it needs one. */
function unauthenticated(why?: string): HttpResponse {
  const challenge = 'Bearer realm="buyers of the flash sale"';
  if (why === undefined) {
    return problem('unauthenticated', { headers: { 'www-authenticate': challenge } });
  }
  const error = `error="invalid_token", error_description="${why}"`;
  return problem('unauthenticated', {
    detail: why,
    headers: { 'www-authenticate': `${challenge}, ${error}` },
  });
}
