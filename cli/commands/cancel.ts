import { setTimeout as sleep } from 'node:timers/promises';
import type { Gateway } from '../gateway/gateway';
import { orderText, type TraceFallback } from '../output/order-text';
import { problemText } from '../output/problem-text';
import { printJson, type ExitCode, type Terminal } from '../output/terminal';
import { UserError } from '../../platform/user-error';

export interface CancelDeps {
  readonly gateway: Gateway;
  readonly terminal: Terminal;
  readonly trace: TraceFallback;
  /** Milliseconds; only tests shorten it. */
  readonly waitMsMax?: number;
}

/** A refund that has to be tried again is on its way for longer; the gateway itself waits some seconds each time. */
const WAIT_MS_MAX = 60_000;
const ASK_AGAIN_MS = 1_000;

/**
 * `flash-sale cancel`: 0 once the order is cancelled, 1 when it cannot be. Asks again as long as that is not decided. With
 * `json` prints the gateway's last document. Throws a UserError when it is not decided in time, and as the gateway does.
 */
export async function cancel(
  { gateway, terminal, trace, waitMsMax = WAIT_MS_MAX }: CancelDeps,
  options: {
    readonly requestId: string;
    readonly user: string;
    readonly json?: boolean | undefined;
  },
): Promise<ExitCode> {
  const { requestId, user, json } = options;
  const deadline = performance.now() + waitMsMax;
  for (;;) {
    const answer = await gateway.cancel(requestId, user);
    if (answer.kind === 'under-way') {
      if (performance.now() >= deadline) throw undecided(requestId, waitMsMax);
      await sleep(answer.retryAfterMs ?? ASK_AGAIN_MS);
      continue;
    }
    const again = `Ask again: flash-sale cancel ${requestId} --user ${user}`;
    if (json) printJson(terminal, answer.body);
    else if ('problem' in answer) {
      terminal.out(problemText(terminal, answer.problem, { again, trace }));
    } else terminal.out(orderText(terminal, answer.parsed, trace));
    return answer.kind === 'cancelled' ? 0 : 1;
  }
}

function undecided(requestId: string, waitMsMax: number): UserError {
  return new UserError(
    `The cancellation of ${requestId} is noted, but not decided after ${waitMsMax / 1000} s: is the worker running? (flash-sale doctor) Asking again is safe.`,
  );
}
