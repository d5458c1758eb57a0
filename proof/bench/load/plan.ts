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

export type LoadPlan = ClosedLoopPlan | OpenLoopPlan | CrowdPlan;

/** What each plan comes to. */
export interface LoadResults {
  readonly 'closed-loop': ClosedLoopResult;
  readonly 'open-loop': OpenLoopResult;
  readonly crowd: CrowdResult;
}

/** A closed loop: each connection sends a request, waits for the response, and sends the next. */
export interface ClosedLoopPlan {
  readonly kind: 'closed-loop';
  readonly port: number;
  readonly connections: number;
  readonly purchases: Purchases;
  /** Responses of this status are what is measured. */
  readonly wantedStatus: number;
  /** Not counted: connections open, code is compiled. */
  readonly warmMs: number;
  /** The load ends after this time, or after `requestsMax`. */
  readonly measureMs: number;
  readonly requestsMax?: number;
}

export interface ClosedLoopResult {
  /** From the end of the warm-up to the last response, in ms. */
  readonly tookMs: number;
  /** Responses by HTTP status, and `broken` for connections that ended without one. */
  readonly responses: Readonly<Record<string, number>>;
  /** Wanted responses per second. */
  readonly rate: number;
  /** Of the wanted responses, in ms. */
  readonly p50: number;
  readonly p99: number;
}

/** An open loop: a fixed number of purchases arrives every second, whether or not earlier ones are answered. */
export interface OpenLoopPlan {
  readonly kind: 'open-loop';
  readonly port: number;
  readonly perSecond: number;
  /** A purchase that finds all of them busy waits for one of them. */
  readonly connectionsMax: number;
  readonly itemId: string;
  readonly prefix: string;
  readonly measureMs: number;
}

export interface OpenLoopResult {
  /** Purchases that arrived. */
  readonly arrived: number;
  /**
   * By the type of the problem; `accepted` for 202, `broken` for a connection that ended without a response, `left` for a
   * purchase that found no free connection within a second.
   */
  readonly responses: Readonly<Record<string, number>>;
  /** Accepted in each second. */
  readonly perSecond: readonly number[];
  /** Of the accepted ones, from their arrival, in ms. */
  readonly p50: number;
  readonly p99: number;
}

/** A crowd of buyers for one item, each with a request_id of its own: `<prefix>-<n>`. */
export interface CrowdPlan {
  readonly kind: 'crowd';
  readonly port: number;
  readonly connections: number;
  readonly buyers: number;
  readonly itemId: string;
  readonly prefix: string;
  /** A buyer without a definite response by then counts as unserved. */
  readonly msMax: number;
}

export interface CrowdResult {
  readonly tookMs: number;
  /** By the type of the problem; `accepted` for 202. */
  readonly responses: Readonly<Record<string, number>>;
  /** request_ids whose buyer was told that there is an order. */
  readonly accepted: readonly string[];
  /** Buyers without a definite response. */
  readonly unserved: number;
  /** Of all responses, in ms. */
  readonly p50: number;
  readonly p99: number;
}

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
