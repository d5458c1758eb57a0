import { quantile } from '../report/statistics';
import type { Connection } from './connection';
import { keepOpen } from './keep-open';
import { answerKind, purchaseBody, type OpenLoopPlan, type OpenLoopResult } from './plan';

/** Purchases come in heaps of so many ms; finer than what a gateway's turn of the event loop takes under load. */
const TICK_MS = 2;

/** A server that answers nothing must not keep the bench for ever. */
const LAST_ANSWERS_MS_MAX = 10_000;

/** Who has found no free connection for so long leaves. */
const PATIENCE_MS = 1_000;

interface Arrival {
  readonly n: number;
  readonly at: number;
}

/**
 * Carries out one plan and reports when all that came is answered or has left. What a purchase waits for a connection
 * counts as waiting: a slow server does not slow its crowd down, and so cannot hide how long it lets it wait.
 */
export function runOpenLoop(plan: OpenLoopPlan): Promise<OpenLoopResult> {
  const { perSecond, measureMs } = plan;
  const tally = createTally();
  const queue: Arrival[] = [];
  const idle: Connection[] = [];
  const startedAt = performance.now();
  let [came, next, unanswered, isOver] = [0, 0, 0, false];

  const nextInPatience = (): Arrival | undefined => {
    const leftBefore = performance.now() - PATIENCE_MS;
    for (;;) {
      const arrival = queue[next];
      if (!arrival) return undefined;
      next += 1;
      if (arrival.at >= leftBefore) return arrival;
      tally.left();
    }
  };

  return new Promise((resolve) => {
    const finish = () => {
      isOver = true;
      clearInterval(ticking);
      clearTimeout(timer);
      for (const connection of open) connection.close();
      resolve({ came, ...tally.result(measureMs) });
    };
    const ask = (connection: Connection) => {
      const arrival = nextInPatience();
      if (!arrival || isOver) {
        idle.push(connection);
        return;
      }
      unanswered += 1;
      connection.buy(purchaseBody(plan, arrival.n), (status, body) => {
        unanswered -= 1;
        tally.answered(answerKind(status, body), arrival, startedAt);
        ask(connection);
      });
    };
    const tick = () => {
      const now = performance.now();
      const due = Math.floor((Math.min(now - startedAt, measureMs) * perSecond) / 1_000);
      for (; came < due; came++) queue.push({ n: came, at: now });
      for (let waiting = queue.length - next; waiting > 0 && idle.length > 0; waiting--) {
        const connection = idle.pop();
        if (connection && open.has(connection)) ask(connection);
      }
      if (now - startedAt > measureMs && next === queue.length && unanswered === 0) finish();
    };
    const ticking = setInterval(tick, TICK_MS);
    const timer = setTimeout(finish, measureMs + LAST_ANSWERS_MS_MAX);
    const open = keepOpen({
      port: plan.port,
      connections: plan.connectionsMax,
      onOpen: ask,
      onEnd: (wasWaiting) => {
        if (isOver) return;
        if (wasWaiting) unanswered -= 1;
        tally.broken();
      },
      isOver: () => isOver,
    });
  });
}

function createTally() {
  const answers: Record<string, number> = {};
  const acceptedAt: number[] = [];
  const waitedMs: number[] = [];
  const count = (answer: string) => {
    answers[answer] = (answers[answer] ?? 0) + 1;
  };
  return {
    answered: (kind: string, { at }: Arrival, startedAt: number) => {
      count(kind);
      if (kind !== 'accepted') return;
      const now = performance.now();
      acceptedAt.push(now - startedAt);
      waitedMs.push(now - at);
    },
    broken: () => {
      count('broken');
    },
    left: () => {
      count('left');
    },
    result: (measureMs: number) => {
      const perSecond = Array.from({ length: Math.floor(measureMs / 1_000) }, () => 0);
      for (const at of acceptedAt) {
        const second = Math.floor(at / 1_000);
        if (second < perSecond.length) perSecond[second] = (perSecond[second] ?? 0) + 1;
      }
      const [p50, p99] = [quantile(waitedMs, 0.5), quantile(waitedMs, 0.99)];
      return { answers, perSecond, p50, p99 };
    },
  };
}
