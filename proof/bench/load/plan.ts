import { readFileSync } from 'node:fs';

/** Which purchases a load consists of. The body of the n-th is always the same text. */
export type Purchases =
  /** Each under an id of its own. */
  | { readonly kind: 'fresh'; readonly itemId: string; readonly prefix: string }
  /** Each under a UUID of its own, by the buyer of a token; `prefix` has eight hexadecimal digits. */
  | { readonly kind: 'by-token'; readonly itemId: string; readonly prefix: string }
  /** The first `count` of the fresh ones, over and over. */
  | {
      readonly kind: 'repeated';
      readonly itemId: string;
      readonly prefix: string;
      readonly count: number;
    }
  | { readonly kind: 'same'; readonly body: string };

/** The bodies of a load, one after the other. */
export function createBodies(purchases: Purchases): () => string {
  let next = 0;
  switch (purchases.kind) {
    case 'same':
      return () => purchases.body;
    case 'fresh':
      return () => purchaseBody(purchases, next++);
    case 'by-token':
      return () => tokenPurchaseBody(purchases, next++);
    case 'repeated':
      return () => purchaseBody(purchases, next++ % purchases.count);
  }
}

export function purchaseBody(
  { itemId, prefix }: { itemId: string; prefix: string },
  n: number,
): string {
  return `{"user_id":"u-${n}","item_id":"${itemId}","amount":1,"request_id":"${prefix}-${n}"}`;
}

function tokenPurchaseBody(
  { itemId, prefix }: { itemId: string; prefix: string },
  n: number,
): string {
  const uuid = `${prefix}-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
  return `{"item_id":"${itemId}","amount":1,"request_id":"${uuid}"}`;
}

/** The tokens of a file with one a line, in turn, over and over; without a file there are none. */
export function createTokens(file: string | undefined): () => string | undefined {
  if (file === undefined) return () => undefined;
  const tokens = readFileSync(file, 'utf8').split('\n');
  let next = 0;
  return () => tokens[next++ % tokens.length];
}

/** `accepted`, the type of the problem, or the status of any other response. */
export function responseKind(status: number, body: string): string {
  if (status === 202) return 'accepted';
  return /"type":"\/problems\/([a-z-]+)"/.exec(body)?.[1] ?? String(status);
}

/** Counts by name. */
export function createCounter() {
  const counts: Record<string, number> = {};
  return {
    counts,
    count: (name: string) => {
      counts[name] = (counts[name] ?? 0) + 1;
    },
  };
}
