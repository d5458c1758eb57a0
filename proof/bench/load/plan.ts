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

/** A closed loop: each connection asks, waits for the answer, and asks again. */
export interface ClosedLoopPlan {
  readonly kind: 'closed-loop';
  readonly port: number;
  readonly connections: number;
  readonly purchases: Purchases;
  /** Answers of this status are what is measured. */
  readonly wantedStatus: number;
  /** Not counted: connections open, code is compiled. */
  readonly warmMs: number;
  /** The load ends after this time, or after `requestsMax`. */
  readonly measureMs: number;
  readonly requestsMax?: number;
}

export interface ClosedLoopResult {
  /** From the end of the warm-up to the last answer, in ms. */
  readonly tookMs: number;
  /** Answers by HTTP status, and `broken` for connections that ended without one. */
  readonly answers: Readonly<Record<string, number>>;
  /** Wanted answers per second. */
  readonly rate: number;
  /** Of the wanted answers, in ms. */
  readonly p50: number;
  readonly p99: number;
}

/** An open loop: so many purchases come every second, whether or not the ones before are answered. */
export interface OpenLoopPlan {
  readonly kind: 'open-loop';
  readonly port: number;
  readonly perSecond: number;
  /** Who finds all of them waiting for an answer waits for one of them. */
  readonly connectionsMax: number;
  readonly itemId: string;
  readonly prefix: string;
  readonly measureMs: number;
}

export interface OpenLoopResult {
  /** Purchases that came. */
  readonly came: number;
  /**
   * By the type of the problem; `accepted` for 202, `broken` for a connection that ended without an answer, `left` for who
   * found no free connection within a second.
   */
  readonly answers: Readonly<Record<string, number>>;
  /** Accepted in each second. */
  readonly perSecond: readonly number[];
  /** Of the accepted ones, from the moment they came, in ms. */
  readonly p50: number;
  readonly p99: number;
}

/** A crowd of buyers before one item, each with a request_id of its own: `<prefix>-<n>`. */
export interface CrowdPlan {
  readonly kind: 'crowd';
  readonly port: number;
  readonly connections: number;
  readonly buyers: number;
  readonly itemId: string;
  readonly prefix: string;
  /** Who has no definite answer by then never gets one. */
  readonly msMax: number;
}

export interface CrowdResult {
  readonly tookMs: number;
  /** By the type of the problem; `accepted` for 202. */
  readonly answers: Readonly<Record<string, number>>;
  /** request_ids that were told that they are an order. */
  readonly accepted: readonly string[];
  /** Buyers who left without a definite answer. */
  readonly unserved: number;
  /** Of all answers, in ms. */
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

/** `accepted`, the type of the problem, or the bare status of something else. */
export function answerKind(status: number, body: string): string {
  if (status === 202) return 'accepted';
  return /"type":"\/problems\/([a-z-]+)"/.exec(body)?.[1] ?? String(status);
}
