import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Tells whether an Authorization header carries the token. The comparison takes as long for a wrong token as for the right
 * one, whatever its length: it is made on hashes.
 */
export function createTokenCheck(token: string): (authorization: string | undefined) => boolean {
  const expected = hash(token);
  return (authorization) => {
    const [, given] = /^Bearer +([^\s]+) *$/i.exec(authorization ?? '') ?? [];
    return given !== undefined && timingSafeEqual(hash(given), expected);
  };
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
