import { createHash } from 'node:crypto';
import type { HttpResponse } from './response';

/** The answer with an ETag of its body and the given Cache-Control. */
export function tagged(answer: HttpResponse, cacheControl: string): HttpResponse {
  const etag = `"${createHash('sha1').update(answer.body).digest('base64url')}"`;
  return { ...answer, headers: { ...answer.headers, 'cache-control': cacheControl, etag } };
}

/** The answer as it is, or 304 when `ifNoneMatch`, that header, names its ETag. Without an ETag it stays as it is. */
export function unlessKnown(answer: HttpResponse, ifNoneMatch: string | undefined): HttpResponse {
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
