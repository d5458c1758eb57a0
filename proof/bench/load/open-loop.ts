import { quantile } from '../statistics';
import { keepOpen, type Connection } from './connection';
import {
  createCounter,
  purchaseBody,
  responseKind,
  type OpenLoopPlan,
  type OpenLoopResult,
} from './plan';

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
  const acceptedAtMs: number[] = [];
  const waitedMs: number[] = [];
  const queue: Arrival[] = [];
  const idle: Connection[] = [];
  const startedAt = performance.now();
  let [arrived, next, unanswered, isOver] = [0, 0, 0, false];

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
        perSecond: countPerSecond(acceptedAtMs, measureMs),
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
          acceptedAtMs.push(now - startedAt);
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

function countPerSecond(atMs: readonly number[], measureMs: number): number[] {
  const perSecond = Array.from({ length: Math.floor(measureMs / 1_000) }, () => 0);
  for (const at of atMs) {
    const second = Math.floor(at / 1_000);
    if (second < perSecond.length) perSecond[second] = (perSecond[second] ?? 0) + 1;
  }
  return perSecond;
}
