import { createHash } from 'node:crypto';
import type { Answer } from './answer';

/** The answer with an ETag of its body and the given Cache-Control. */
export function tagged(answer: Answer, cacheControl: string): Answer {
  const etag = `"${createHash('sha1').update(answer.body).digest('base64url')}"`;
  return { ...answer, headers: { ...answer.headers, 'cache-control': cacheControl, etag } };
}

/** The answer as it is, or 304 when `ifNoneMatch`, that header, names its ETag. Without an ETag it stays as it is. */
export function unlessKnown(answer: Answer, ifNoneMatch: string | undefined): Answer {
  const etag = answer.headers['etag'];
  if (etag === undefined || !isKnown(etag, ifNoneMatch)) return answer;
  const cacheControl = answer.headers['cache-control'];
  const headers = { ...(cacheControl !== undefined && { 'cache-control': cacheControl }), etag };
  return { status: 304, headers, body: '' };
}

/** Whether the sender of an If-None-Match header has this version already. */
function isKnown(etag: string, ifNoneMatch: string | undefined): boolean {
  const known = ifNoneMatch?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return known.includes(etag) || known.includes('*');
}
