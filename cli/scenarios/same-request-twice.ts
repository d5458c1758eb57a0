import type { BuyBody, BuyResponse } from '../../client/gateway';
import { same } from '../../client/invariants';
import type { ItemId } from '../../engine/orders/order';
import { UserError } from '../../platform/user-error';
import { idleSnapshot, type RunningEngine, type Verdict } from './running-engine';

const UNITS = 5;

/** One payment in ten is declined: five in a row in one of 100,000 runs. */
const TRIES_MAX = 5;

/** The same request three times, the last time after the sale: one 202, two 409 that show the order, one unit sold. */
export async function sameRequestTwice(engine: RunningEngine): Promise<Verdict> {
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    const itemId = await engine.putOnSale(UNITS);
    const body = { user_id: 'u1', item_id: itemId, amount: 1, request_id: `${itemId}-order` };
    const first = await engine.gateway.buy(body);
    // The refusal of a busy engine says nothing about duplicates; the next try has an item of its own.
    if (first.kind === 'problem' && first.body.status === 503) continue;
    const second = await engine.gateway.buy(body);
    const { entries } = await idleSnapshot(engine, itemId);
    // A declined payment released the unit, so this order does not show how often it was sold.
    if (entries.get(body.request_id)?.reason === 'payment-declined') continue;
    return judge(engine, itemId, body, [first, second]);
  }
  throw new UserError(`None of ${TRIES_MAX} orders was accepted and paid.`);
}

async function judge(
  engine: RunningEngine,
  itemId: ItemId,
  body: BuyBody,
  [first, second]: readonly [BuyResponse, BuyResponse],
): Promise<Verdict> {
  const third = await engine.gateway.buy(body);
  const { counts, entries } = await idleSnapshot(engine, itemId);
  const after = third.kind === 'problem' ? third.body.order?.status : undefined;
  return {
    figures: `${inWords(first)}, then ${inWords(second)}, ${counts.sold} sold`,
    misses: [
      ...same('the first answer', inWords(first), '202'),
      ...same('the second answer', inWords(second), DUPLICATE),
      ...same('the answer after the sale', inWords(third), DUPLICATE),
      ...same('the order shown after the sale', after ?? 'missing', 'confirmed'),
      ...same('the number of orders', entries.size, 1),
      ...same('units sold', counts.sold, 1),
      ...same('units free', counts.free, UNITS - 1),
    ],
  };
}

const DUPLICATE = '409 duplicate-request';

function inWords(response: BuyResponse): string {
  return response.kind === 'accepted' ? '202' : `${response.body.status} ${response.problem}`;
}
