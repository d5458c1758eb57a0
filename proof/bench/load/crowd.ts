import { quantile } from '../statistics';
import { keepOpen, type Connection } from './connection';
import { createCounter, responseKind } from './plan';

/** A crowd of buyers for one item, each with a request_id of its own: `<prefix>-<n>`. */
export interface CrowdPlan {
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

/** A buyer who has waited this long sends the request again, on another connection and under the same request_id. */
const PATIENCE_MS = 150;

/** The shortest delay before a retry; up to as much again is added. Once a second would be one long overload. */
const RETRY_MS = 2_000;

/** So often a buyer retries without a definite response. */
const TRIES_MAX = 50;

interface Buyer {
  readonly requestId: string;
  readonly body: string;
  tries: number;
  isServed: boolean;
}

/**
 * A crowd: each buyer retries until one definite response. One in three clicks twice at the start; all send again when a
 * response takes long, and come back while units in checkout may still return.
 */
export function runCrowd(plan: CrowdPlan): Promise<CrowdResult> {
  const buyers = Array.from({ length: plan.buyers }, (_, n) => createBuyer(plan, n));
  const queue = buyers.flatMap((buyer, n) => (n % 3 === 0 ? [buyer, buyer] : [buyer]));
  const { counts, count } = createCounter();
  const accepted = new Set<string>();
  const waitedMs: number[] = [];
  const idle: Connection[] = [];
  const startedAt = performance.now();
  let unserved = buyers.length;
  let next = 0;
  let isOver = false;

  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      isOver = true;
      for (const connection of open) connection.close();
      resolve({
        tookMs: performance.now() - startedAt,
        responses: counts,
        accepted: [...accepted],
        unserved,
        p50: quantile(waitedMs, 0.5),
        p99: quantile(waitedMs, 0.99),
      });
    };
    const serve = (buyer: Buyer) => {
      if (buyer.isServed) return;
      buyer.isServed = true;
      unserved -= 1;
      if (unserved === 0) finish();
    };
    const comeBack = (buyer: Buyer) => {
      if (buyer.tries >= TRIES_MAX) return;
      setTimeout(enqueue, RETRY_MS * (1 + Math.random()), buyer).unref();
    };
    const enqueue = (buyer: Buyer) => {
      if (buyer.isServed || isOver) return;
      queue.push(buyer);
      const connection = idle.pop();
      if (connection) send(connection);
    };
    const send = (connection: Connection) => {
      const buyer = queue[next];
      if (!buyer || isOver) {
        idle.push(connection);
        return;
      }
      next += 1;
      const sentAt = performance.now();
      buyer.tries += 1;
      const impatient = setTimeout(enqueue, PATIENCE_MS, buyer);
      connection.buy(buyer.body, (status, body) => {
        clearTimeout(impatient);
        waitedMs.push(performance.now() - sentAt);
        const kind = responseKind(status, body);
        count(kind);
        if (kind === 'accepted' || kind === 'duplicate-request') accepted.add(buyer.requestId);
        if (isDefinite(kind, body)) serve(buyer);
        else comeBack(buyer);
        send(connection);
      });
    };
    const timer = setTimeout(finish, plan.msMax);
    const open = keepOpen({
      port: plan.port,
      connections: plan.connections,
      onOpen: send,
      onEnd: () => {
        if (!isOver) count('broken');
      },
      isOver: () => isOver,
    });
  });
}

/** One or two units each; every tenth user buys three times one unit, which is more than the sale allows. */
function createBuyer({ itemId, prefix }: CrowdPlan, n: number): Buyer {
  const [user, amount] = n % 10 < 3 ? [`greedy-${Math.floor(n / 10)}`, 1] : [`u-${n}`, 1 + (n % 2)];
  const requestId = `${prefix}-${n}`;
  const body = JSON.stringify({ user_id: user, item_id: itemId, amount, request_id: requestId });
  return { requestId, body, tries: 0, isServed: false };
}

function isDefinite(kind: string, body: string): boolean {
  switch (kind) {
    case 'accepted':
    case 'duplicate-request':
    case 'purchase-limit':
      return true;
    case 'sold-out':
      return body.includes('"final":true');
    default:
      return false;
  }
}
