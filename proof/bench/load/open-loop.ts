import { quantile } from '../statistics';
import { keepOpen, type Connection } from './connection';
import { createCounter, purchaseBody, responseKind } from './plan';

/** An open loop: a fixed number of purchases arrives every second, whether or not earlier ones are answered. */
export interface OpenLoopPlan {
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
  /** Accepted while purchases still arrived: a response after the last arrival is no throughput under load. */
  readonly acceptedInTime: number;
  /** Of the accepted ones, from their arrival, in ms. */
  readonly p50: number;
  readonly p99: number;
}

/** Purchases arrive in batches every so many ms: less than one turn of the gateway's event loop under load. */
const TICK_MS = 2;

/** A server that answers nothing must not keep the bench for ever. */
const LAST_RESPONSES_MS_MAX = 10_000;

/** A purchase that has found no free connection for so long leaves. */
const PATIENCE_MS = 1_000;

interface Arrival {
  readonly n: number;
  readonly at: number;
}

/**
 * Carries out one plan and resolves when every arrival is answered or has left. The wait for a connection counts: a slow
 * server does not slow its arrivals down, and so cannot hide how long they wait.
 */
export function runOpenLoop(plan: OpenLoopPlan): Promise<OpenLoopResult> {
  const { perSecond, measureMs } = plan;
  const { counts, count } = createCounter();
  const waitedMs: number[] = [];
  const queue: Arrival[] = [];
  const idle: Connection[] = [];
  const startedAt = performance.now();
  let [arrived, next, unanswered, acceptedInTime, isOver] = [0, 0, 0, 0, false];

  const nextInPatience = (): Arrival | undefined => {
    const leftBefore = performance.now() - PATIENCE_MS;
    for (;;) {
      const arrival = queue[next];
      if (!arrival) return undefined;
      next += 1;
      if (arrival.at >= leftBefore) return arrival;
      count('left');
    }
  };

  return new Promise((resolve) => {
    const finish = () => {
      isOver = true;
      clearInterval(ticking);
      clearTimeout(timer);
      for (const connection of open) connection.close();
      resolve({
        arrived,
        responses: counts,
        acceptedInTime,
        p50: quantile(waitedMs, 0.5),
        p99: quantile(waitedMs, 0.99),
      });
    };
    const send = (connection: Connection) => {
      const arrival = nextInPatience();
      if (!arrival || isOver) {
        idle.push(connection);
        return;
      }
      unanswered += 1;
      connection.buy(purchaseBody(plan, arrival.n), (status, body) => {
        unanswered -= 1;
        const kind = responseKind(status, body);
        count(kind);
        if (kind === 'accepted') {
          const now = performance.now();
          if (now - startedAt < measureMs) acceptedInTime += 1;
          waitedMs.push(now - arrival.at);
        }
        send(connection);
      });
    };
    const tick = () => {
      const now = performance.now();
      const due = Math.floor((Math.min(now - startedAt, measureMs) * perSecond) / 1_000);
      for (; arrived < due; arrived++) queue.push({ n: arrived, at: now });
      for (let waiting = queue.length - next; waiting > 0 && idle.length > 0; waiting--) {
        const connection = idle.pop();
        if (connection && open.has(connection)) send(connection);
      }
      if (now - startedAt > measureMs && next === queue.length && unanswered === 0) finish();
    };
    const ticking = setInterval(tick, TICK_MS);
    const timer = setTimeout(finish, measureMs + LAST_RESPONSES_MS_MAX);
    const open = keepOpen({
      port: plan.port,
      connections: plan.connectionsMax,
      onOpen: send,
      onEnd: (wasWaiting) => {
        if (isOver) return;
        if (wasWaiting) unanswered -= 1;
        count('broken');
      },
      isOver: () => isOver,
    });
  });
}
