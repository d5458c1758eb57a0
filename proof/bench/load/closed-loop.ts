import { quantile } from '../report/statistics';
import type { Connection } from './connection';
import { keepOpen } from './keep-open';
import { createBodies, type ClosedLoopPlan, type ClosedLoopResult } from './plan';

/** A server that answers nothing must not keep the bench for ever. */
const LAST_ANSWERS_MS_MAX = 10_000;

/** Carries out one plan and reports when every request of it has been answered. */
export function runClosedLoop(plan: ClosedLoopPlan): Promise<ClosedLoopResult> {
  const nextBody = createBodies(plan.purchases);
  const tally = createTally(plan);
  let [sent, unanswered, isOver] = [0, 0, false];

  return new Promise((resolve) => {
    const finish = () => {
      for (const timer of timers) clearTimeout(timer);
      isOver = true;
      for (const connection of open) connection.close();
      resolve(tally.result());
    };
    const ask = (connection: Connection) => {
      if (isOver || sent === plan.requestsMax) {
        if (unanswered === 0) finish();
        return;
      }
      sent += 1;
      unanswered += 1;
      const askedAt = performance.now();
      connection.buy(nextBody(), (status) => {
        unanswered -= 1;
        tally.answered(status, askedAt);
        ask(connection);
      });
    };
    const timers = [
      ...(plan.warmMs > 0 ? [setTimeout(tally.begin, plan.warmMs)] : []),
      setTimeout(() => {
        isOver = true;
      }, plan.warmMs + plan.measureMs),
      setTimeout(finish, plan.warmMs + plan.measureMs + LAST_ANSWERS_MS_MAX),
    ];
    if (plan.warmMs === 0) tally.begin();
    const open = keepOpen({
      ...plan,
      onOpen: ask,
      onEnd: (wasWaiting) => {
        if (isOver && !wasWaiting) return;
        if (wasWaiting) unanswered -= 1;
        tally.broken();
      },
      isOver: () => isOver,
    });
  });
}

/** Counts answers. What was asked before `begin` is not counted, whenever its answer comes. */
function createTally({ wantedStatus }: ClosedLoopPlan) {
  const answers: Record<string, number> = {};
  const waitedMs: number[] = [];
  let beganAt = Infinity;
  const count = (answer: string) => {
    answers[answer] = (answers[answer] ?? 0) + 1;
  };
  return {
    begin: () => {
      beganAt = performance.now();
    },
    answered: (status: number, askedAt: number) => {
      if (askedAt < beganAt) return;
      count(String(status));
      if (status === wantedStatus) waitedMs.push(performance.now() - askedAt);
    },
    broken: () => {
      count('broken');
    },
    result: (): ClosedLoopResult => {
      const tookMs = performance.now() - beganAt;
      const [p50, p99] = [quantile(waitedMs, 0.5), quantile(waitedMs, 0.99)];
      return { tookMs, answers, rate: (waitedMs.length / tookMs) * 1_000, p50, p99 };
    },
  };
}
