import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isFinal } from '../../engine/orders/order-status';
import { GatewayFault, type BuyBody, type Found, type Gateway } from '../gateway/gateway';
import type { OrderBody } from '../gateway/gateway-answers';
import { orderText, traceLink, type TraceFallback } from '../output/order-text';
import { problemText } from '../output/problem-text';
import { table } from '../output/table';
import { printJson, type ExitCode, type Terminal } from '../output/terminal';
import { UserError } from '../../platform/user-error';

export interface BuyDeps {
  readonly gateway: Gateway;
  readonly terminal: Terminal;
  readonly trace: TraceFallback;
  /** Milliseconds; only tests shorten them. */
  readonly pollMs?: number;
  readonly waitMsMax?: number;
}

export interface BuyOptions {
  readonly item: string;
  readonly user: string;
  /** Units. */
  readonly amount: number;
  /** Absent: a fresh one. */
  readonly requestId?: string | undefined;
  /** Follow the order to its final outcome. */
  readonly wait?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** A payment in doubt is pursued for two minutes before the order fails. */
const WAIT_MS_MAX = 180_000;
const POLL_MS = 250;

/**
 * `flash-sale buy`: 0 when the order is accepted, and with `wait` when it is confirmed; otherwise 1. With `json` prints
 * the gateway's last document. Throws a UserError when the gateway gives no answer, or no final one in time.
 */
export async function buy(deps: BuyDeps, options: BuyOptions): Promise<ExitCode> {
  const { gateway, terminal, trace } = deps;
  const requestId = options.requestId ?? `req-${randomUUID()}`;
  const answer = await place(gateway, {
    user_id: options.user,
    item_id: options.item,
    amount: options.amount,
    request_id: requestId,
  });
  if (answer.kind === 'problem') {
    if (options.json) printJson(terminal, answer.body);
    else {
      const again = `Try again with --request-id ${requestId}`;
      terminal.out(problemText(terminal, answer.problem, { again, trace }));
    }
    return 1;
  }
  if (!options.json) {
    const link = answer.trace ?? traceLink(trace, requestId);
    const rows = [
      ['202', { text: 'accepted', colour: 'green' }],
      ['order', requestId],
      ['workflow', link],
    ] as const;
    terminal.out(table(terminal, rows));
  }
  if (!options.wait) {
    if (options.json) printJson(terminal, answer.body);
    return 0;
  }
  const { parsed, body } = await follow(deps, requestId);
  if (options.json) printJson(terminal, body);
  else terminal.out(orderText(terminal, parsed, trace));
  return parsed.status === 'confirmed' ? 0 : 1;
}

/** Whoever gets no answer must learn under which id to ask again: another one would buy twice. */
async function place(gateway: Gateway, body: BuyBody) {
  try {
    return await gateway.buy(body);
  } catch (error) {
    if (!(error instanceof GatewayFault) || !error.mayHaveArrived) throw error;
    throw new UserError(
      `${error.message} The order may have gone through: repeat it with --request-id ${body.request_id}, never with another id.`,
      { cause: error },
    );
  }
}

async function follow(
  { gateway, pollMs = POLL_MS, waitMsMax = WAIT_MS_MAX }: BuyDeps,
  requestId: string,
): Promise<Found<OrderBody>> {
  const deadline = performance.now() + waitMsMax;
  for (;;) {
    const found = await gateway.order(requestId);
    if (found && isFinal(found.parsed.status)) return found;
    if (performance.now() >= deadline) {
      const status = found?.parsed.status ?? 'not to be found';
      throw new UserError(
        `The order ${requestId} is still ${status} after ${waitMsMax / 1000} s: is the worker running? (flash-sale doctor) Look again with: flash-sale order ${requestId}`,
      );
    }
    await sleep(pollMs);
  }
}
