/** Which purchases a load consists of. The body of the n-th is always the same text. */
export type Purchases =
  /** Each under an id of its own. */
  | { readonly kind: 'fresh'; readonly itemId: string; readonly prefix: string }
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
