import { isFinal, orderStatus } from '../../engine/orders/order-status';
import type { OrderBody } from '../gateway/gateway-answers';
import { atRest, type Rest } from './at-rest';
import { acceptedUnits, buyAtOnce, type Purchased } from './buy-until-definite';
import type { Scene } from './scene';
import { named, same, type Verdict } from './verdict';
import { imbalance, watchStock } from './watch-stock';

interface Round {
  readonly orders: number;
  readonly units: number;
  /** Orders ask for 1 up to this many units. */
  readonly amountMax: number;
}

const ROUNDS: readonly Round[] = [
  { orders: 100, units: 50, amountMax: 1 },
  { orders: 1_000, units: 500, amountMax: 3 },
];

/** Two crowds, each for too few units; then every answer is held against the ledger, to the unit. */
export async function neverOversold(
  scene: Scene,
  rounds: readonly Round[] = ROUNDS,
): Promise<Verdict> {
  const verdicts: Verdict[] = [];
  for (const round of rounds) verdicts.push(await runRound(scene, round));
  return {
    figures: verdicts.map(({ figures }) => figures).join('; '),
    misses: verdicts.flatMap(({ misses }) => misses),
  };
}

async function runRound(scene: Scene, round: Round): Promise<Verdict> {
  const { orders, units, amountMax } = round;
  const itemId = await scene.putOnSale(units);
  const { result, watched } = await watchStock(scene, itemId, units, async () => {
    const amountOf = (index: number) => 1 + (index % amountMax);
    const purchases = await buyAtOnce(scene, itemId, { count: orders, amountOf });
    return { purchases, rest: await atRest(scene, itemId) };
  });
  const { purchases, rest } = result;
  const accepted = purchases.filter(({ answer }) => answer === 'accepted');
  const views = await Promise.all(
    accepted.map(async ({ body }) => (await scene.gateway.order(body.request_id))?.parsed),
  );
  const failed = accepted.length - [...rest.entries.values()].filter(isSold).length;
  return {
    figures: `${orders} orders for ${units} units: ${accepted.length} accepted, ${failed} failed, ${rest.item.sold} units sold, ${watched.looks} looks`,
    misses: [
      ...watched.misses,
      ...imbalance(rest.item, units),
      ...checkAnswers(purchases, round),
      ...checkLedger(purchases, rest),
      ...checkOutcomes(accepted, views, rest),
    ],
  };
}

/** At the door: every answer is 202 or sold-out, and as many units were given out as there were. */
function checkAnswers(purchases: readonly Purchased[], { units, amountMax }: Round): string[] {
  const undecided = purchases.filter(({ answer }) => answer === 'undecided');
  const strange = purchases.filter(
    ({ answer, problem }) => answer === 'rejected' && problem !== 'sold-out',
  );
  // What is left over may be too little for the orders that came last.
  const least = units - (amountMax - 1);
  const given = acceptedUnits(purchases);
  const word = ({ body, problem }: Purchased) => `${body.request_id} (${problem ?? 'no answer'})`;
  return [
    ...named('orders without a definite answer', undecided.map(word)),
    ...named('orders neither accepted nor sold out', strange.map(word)),
    ...(given < least ? [`only ${given} of ${units} units were given out`] : []),
  ];
}

/** In the ledger: exactly the accepted orders, and every unit of theirs either sold or back. */
function checkLedger(purchases: readonly Purchased[], { item, entries }: Rest): string[] {
  const accepted = new Set(
    purchases.filter(({ answer }) => answer === 'accepted').map(({ body }) => body.request_id),
  );
  const lost = [...accepted].filter((requestId) => !entries.has(requestId));
  const extra = [...entries.keys()].filter((requestId) => !accepted.has(requestId));
  const unitsOf = (isWanted: (entry: { readonly state: string }) => boolean) =>
    [...entries.values()].filter(isWanted).reduce((sum, { units }) => sum + units, 0);
  const sold = unitsOf(isSold);
  const released = unitsOf(({ state }) => state === 'released');
  return [
    ...named('accepted orders lost', lost),
    ...named('orders in the ledger that were not accepted', extra),
    ...same('units of 202 answers', acceptedUnits(purchases), sold + released),
    ...same('units sold by the count', item.sold, sold),
  ];
}

/** At the orders' own pages: each accepted order has one final outcome, the one of the ledger. */
function checkOutcomes(
  accepted: readonly Purchased[],
  views: readonly (OrderBody | undefined)[],
  { entries }: Rest,
): string[] {
  const wrong = accepted.flatMap(({ body }, index) => {
    const view = views[index];
    if (!view) return [`${body.request_id} (unknown to the gateway)`];
    const entry = entries.get(body.request_id);
    const ends = view.timeline.filter(({ state }) => state === 'sold' || state === 'released');
    if (!isFinal(view.status) || ends.length !== 1) {
      return [`${body.request_id} (${view.status}, ${ends.length} outcomes)`];
    }
    const inLedger = entry && orderStatus(entry);
    return inLedger === view.status ? [] : [`${body.request_id} (${view.status}, not ${inLedger})`];
  });
  return named('accepted orders without exactly one outcome', wrong);
}

function isSold({ state }: { readonly state: string }): boolean {
  return state === 'sold';
}
