import type { ItemId } from '../../engine/orders/order';
import type { BuyAnswer, BuyBody } from '../gateway/gateway';
import { atRest } from './at-rest';
import type { Scene } from './scene';
import { same, type Verdict } from './verdict';
import { UserError } from '../../platform/user-error';

const UNITS = 5;

/** One payment in ten is declined: five in a row in one of 100,000 runs. */
const TRIES_MAX = 5;

/** The same request three times, the last time after the sale: one 202, two 409 that show the order, one unit sold. */
export async function sameRequestTwice(scene: Scene): Promise<Verdict> {
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    const itemId = await scene.putOnSale(UNITS);
    const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-order` };
    const first = await scene.gateway.buy(body);
    // A refusal of a busy engine says nothing about duplicates; the next try has an item of its own.
    if (first.kind === 'problem' && first.problem.status === 503) continue;
    const second = await scene.gateway.buy(body);
    const { entries } = await atRest(scene, itemId);
    // A declined payment gave the unit back, so this order shows nothing about how often it was sold.
    if (entries.get(body.request_id)?.reason === 'payment-declined') continue;
    return judge(scene, itemId, body, [first, second]);
  }
  throw new UserError(`None of ${TRIES_MAX} orders was accepted and paid.`);
}

async function judge(
  scene: Scene,
  itemId: ItemId,
  body: BuyBody,
  [first, second]: readonly [BuyAnswer, BuyAnswer],
): Promise<Verdict> {
  const third = await scene.gateway.buy(body);
  const { item, entries } = await atRest(scene, itemId);
  const after = third.kind === 'problem' ? third.problem.order?.status : undefined;
  return {
    figures: `${inWords(first)}, then ${inWords(second)}, ${item.sold} sold`,
    misses: [
      ...sameWords('the first answer', inWords(first), '202'),
      ...sameWords('the second answer', inWords(second), DUPLICATE),
      ...sameWords('the answer after the sale', inWords(third), DUPLICATE),
      ...sameWords('the order shown after the sale', after ?? 'missing', 'confirmed'),
      ...same('the number of orders', entries.size, 1),
      ...same('units sold', item.sold, 1),
      ...same('units free', item.free, UNITS - 1),
    ],
  };
}

const DUPLICATE = '409 duplicate-request';

function inWords(answer: BuyAnswer): string {
  if (answer.kind === 'accepted') return '202';
  return `${answer.problem.status} ${answer.problem.type}`;
}

function sameWords(what: string, actual: string, expected: string): string[] {
  return actual === expected ? [] : [`${what} is ${actual}, not ${expected}`];
}
