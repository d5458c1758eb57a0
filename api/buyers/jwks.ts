import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { ErrorLog } from '../http/errors';

/** Then the keys are fetched again, while tokens are checked with the old ones. */
const FRESH_MS = 10 * 60_000;

/**
 * How long keys are used that cannot be fetched again. Longer than most tokens live, so that an outage of the identity
 * provider ends no sale that it let begin; bounded, because a key that was withdrawn meanwhile is still accepted.
 */
const STALE_MS_MAX = 60 * 60_000;

/** Between the starts of two fetches: tokens with made-up key ids must not become a load on the identity provider. */
const COOL_DOWN_MS = 10_000;

/** A buyer waits for it, but only if no key is known or the token names an unknown one. */
const FETCH_MS_MAX = 3_000;

/** Ten keys of 4,096 bits with their certificates take 40 KiB. */
const BYTES_MAX = 64 * 1024;

/** The keys that tokens are checked with. Another set of keys is another object. */
export interface TokenKeys {
  /** Undefined while none are known. */
  readonly current: () => JWTVerifyGetKey | undefined;
  /** The same, fetched again first unless that has just happened. Never rejects. */
  readonly refetched: () => Promise<JWTVerifyGetKey | undefined>;
}

/**
 * The keys of a JWKS URL, kept in memory. Starts to fetch them. The library's own `createRemoteJWKSet` reads a response of
 * any size, and has no keys once a fetch has failed.
 */
export function createJwks(
  url: string,
  errors: ErrorLog,
  {
    now = () => performance.now(),
    fetchMsMax = FETCH_MS_MAX,
  }: {
    /** Milliseconds on a steady clock. */
    readonly now?: () => number;
    readonly fetchMsMax?: number;
  } = {},
): TokenKeys {
  let known: { text: string; keys: JWTVerifyGetKey; fetchedAt: number } | undefined;
  let triedAt = -Infinity;
  let fetching: Promise<void> | undefined;

  const fetchOnce = async () => {
    try {
      const text = await fetchText(url, fetchMsMax);
      const keys = text === known?.text ? known.keys : parseKeys(text);
      known = { text, keys, fetchedAt: now() };
    } catch (error) {
      errors.report('the keys of the tokens of buyers were not fetched', error, { url });
    } finally {
      fetching = undefined;
    }
  };
  const refetch = (): Promise<void> | undefined => {
    if (!fetching && now() - triedAt >= COOL_DOWN_MS) {
      triedAt = now();
      fetching = fetchOnce();
    }
    return fetching;
  };
  const usable = () => (known && now() - known.fetchedAt < STALE_MS_MAX ? known.keys : undefined);
  void refetch();

  return {
    current: () => {
      if (known && now() - known.fetchedAt >= FRESH_MS) void refetch();
      return usable();
    },
    refetched: async () => {
      await refetch();
      return usable();
    },
  };
}

/** Throws unless the response is a 200 of at most BYTES_MAX that came in time. */
async function fetchText(url: string, msMax: number): Promise<string> {
  // A redirect could lead to a host, or to plain http, that nobody has configured.
  const signal = AbortSignal.timeout(msMax);
  const response = await fetch(url, { signal, redirect: 'error' });
  const body = response.body as AsyncIterable<Uint8Array> | null;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop ends the connection.
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  if (response.status !== 200) throw new Error(`the response is ${response.status}`);
  return Buffer.concat(chunks).toString('utf8');
}

/** Throws unless it is a JWKS with at least one key. */
function parseKeys(text: string): JWTVerifyGetKey {
  const jwks = JSON.parse(text) as JSONWebKeySet;
  const keys = createLocalJWKSet(jwks);
  if (jwks.keys.length === 0) throw new Error('it holds no key');
  return keys;
}
