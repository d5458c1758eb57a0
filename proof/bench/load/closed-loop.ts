import { quantile } from '../statistics';
import { keepOpen, type Connection } from './connection';
import { createBodies, createCounter, createTokens, type Purchases } from './plan';

/** A closed loop: each connection sends a request, waits for the response, and sends the next. */
export interface ClosedLoopPlan {
  readonly port: number;
  readonly connections: number;
  readonly purchases: Purchases;
  /** One token a line, sent in turn. Absent: no request has one. */
  readonly tokensFile?: string;
  /** Responses of this status are what is measured. */
  readonly wantedStatus: number;
  /** Not counted: connections open, code is compiled. */
  readonly warmMs: number;
  /** The load ends after this time, or after `requestsMax`. */
  readonly measureMs: number;
  readonly requestsMax?: number;
}

export type ClosedLoopResult = ReturnType<ReturnType<typeof createTally>['result']>;

/** A server that answers nothing must not keep the bench for ever. */
const LAST_RESPONSES_MS_MAX = 10_000;

/** Carries out one plan and resolves when every request of it has been answered. */
export function runClosedLoop(plan: ClosedLoopPlan): Promise<ClosedLoopResult> {
  const nextBody = createBodies(plan.purchases);
  const nextToken = createTokens(plan.tokensFile);
  const tally = createTally(plan);
  let [sent, unanswered, isOver] = [0, 0, false];

  return new Promise((resolve) => {
    const finish = () => {
      for (const timer of timers) clearTimeout(timer);
      isOver = true;
      for (const connection of open) connection.close();
      resolve(tally.result());
    };
    const send = (connection: Connection) => {
      if (isOver || sent === plan.requestsMax) {
        if (unanswered === 0) finish();
        return;
      }
      sent += 1;
      unanswered += 1;
      const sentAt = performance.now();
      const onResponse = (status: number) => {
        unanswered -= 1;
        tally.answered(status, sentAt);
        send(connection);
      };
      connection.buy(nextBody(), onResponse, nextToken());
    };
    const timers = [
      ...(plan.warmMs > 0 ? [setTimeout(tally.begin, plan.warmMs)] : []),
      setTimeout(() => {
        isOver = true;
      }, plan.warmMs + plan.measureMs),
      setTimeout(finish, plan.warmMs + plan.measureMs + LAST_RESPONSES_MS_MAX),
    ];
    if (plan.warmMs === 0) tally.begin();
    const open = keepOpen({
      port: plan.port,
      connections: plan.connections,
      onOpen: send,
      onEnd: (wasWaiting) => {
        if (isOver && !wasWaiting) return;
        if (wasWaiting) unanswered -= 1;
        tally.broken();
      },
      isOver: () => isOver,
    });
  });
}

/** Counts responses. A request that was sent before `begin` is not counted, whenever its response comes. */
function createTally({ wantedStatus }: ClosedLoopPlan) {
  const { counts, count } = createCounter();
  const waitedMs: number[] = [];
  let beganAt = Infinity;
  return {
    begin: () => {
      beganAt = performance.now();
    },
    answered: (status: number, sentAt: number) => {
      if (sentAt < beganAt) return;
      count(String(status));
      if (status === wantedStatus) waitedMs.push(performance.now() - sentAt);
    },
    broken: () => {
      count('broken');
    },
    result: () => {
      const tookMs = performance.now() - beganAt;
      return {
        /** From the end of the warm-up to the last response. */
        tookMs,
        /** By HTTP status, and `broken` for connections that ended without a response. */
        responses: counts,
        /** Wanted responses per second, and their latency in ms. */
        rate: (waitedMs.length / tookMs) * 1_000,
        p50: quantile(waitedMs, 0.5),
        p99: quantile(waitedMs, 0.99),
      };
    },
  };
}
