import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayFault, type BuyAnswer, type BuyBody } from '../gateway/gateway';
import type { Scene } from './scene';

/** How a purchase ended at the door. */
export interface Purchased {
  readonly body: BuyBody;
  /** `undecided`: no definite answer within the bound. */
  readonly answer: 'accepted' | 'rejected' | 'undecided';
  /** The problem's type, where there was one, or the last fault. */
  readonly problem?: string;
  /** How often the same request had to be sent. */
  readonly tries: number;
}

/** Where the gateway names no time of its own. */
const RETRY_DELAY_MS = 500;

const TEMPORARY = ['not-accepted', 'outcome-unknown', 'rate-limited', 'request-in-progress'];

/** Buys as a good client does: sends the same request again until the answer is definite. Throws only for bugs. */
export async function buyUntilDefinite(
  { gateway, bounds }: Pick<Scene, 'gateway' | 'bounds'>,
  body: BuyBody,
): Promise<Purchased> {
  const deadline = performance.now() + bounds.answerMsMax;
  for (let tries = 1; ; tries += 1) {
    const answer = await gateway.buy(body).catch(faultOf);
    if (answer.kind === 'accepted') return { body, answer: 'accepted', tries };
    const problem = answer.kind === 'fault' ? answer.message : answer.problem.type;
    // Our own order, from a try whose answer was lost.
    const isOurs = problem === 'duplicate-request' && tries > 1;
    if (isOurs) return { body, answer: 'accepted', tries };
    if (answer.kind === 'problem' && !TEMPORARY.includes(problem)) {
      return { body, answer: 'rejected', problem, tries };
    }
    const delayMs = (answer.kind === 'problem' && answer.retryAfterMs) || RETRY_DELAY_MS;
    if (performance.now() + delayMs > deadline) {
      return { body, answer: 'undecided', problem, tries };
    }
    await sleep(delayMs);
  }
}

/** The units of all purchases that were accepted. */
export function acceptedUnits(purchases: readonly Purchased[]): number {
  return purchases
    .filter(({ answer }) => answer === 'accepted')
    .reduce((units, { body }) => units + body.amount, 0);
}

/** `count` requests for an item at once, each with a user and an id of its own. */
export function buyAtOnce(
  scene: Scene,
  itemId: string,
  { count, amountOf }: { readonly count: number; readonly amountOf: (index: number) => number },
): Promise<readonly Purchased[]> {
  const bodies = [...Array(count).keys()].map((index) => ({
    user_id: `${itemId}-user-${index}`,
    item_id: itemId,
    amount: amountOf(index),
    request_id: `${itemId}-order-${index}`,
  }));
  return Promise.all(bodies.map((body) => buyUntilDefinite(scene, body)));
}

function faultOf(error: unknown): { kind: 'fault'; message: string } | BuyAnswer {
  if (error instanceof GatewayFault) return { kind: 'fault', message: error.message };
  throw error;
}
