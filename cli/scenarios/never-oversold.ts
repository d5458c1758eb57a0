import type { Purchase } from '../../client/buyer';
import { GatewayError, type ItemBody, type OrderBody } from '../../client/gateway';
import { idleViolations, named, same, unitsOf, watchStock } from '../../client/invariants';
import type { ItemSnapshot } from '../../client/snapshot';
import { isFinal, orderStatus } from '../../engine/orders/ledger';
import {
  buyAtOnce,
  idleSnapshot,
  isAccepted,
  type RunningEngine,
  type Verdict,
} from './running-engine';

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

/** Two crowds, each for too few units. Compares every response with the ledger, to the unit. */
export async function neverOversold(
  engine: RunningEngine,
  rounds: readonly Round[] = ROUNDS,
): Promise<Verdict> {
  const verdicts: Verdict[] = [];
  for (const round of rounds) verdicts.push(await runRound(engine, round));
  return {
    figures: verdicts.map(({ figures }) => figures).join('; '),
    misses: verdicts.flatMap(({ misses }) => misses),
  };
}

async function runRound(engine: RunningEngine, round: Round): Promise<Verdict> {
  const { orders, units, amountMax } = round;
  const itemId = await engine.putOnSale(units);
  const stock = watchStock(() => look(engine, itemId), units);
  const amountOf = (index: number) => 1 + (index % amountMax);
  const [bought] = await Promise.allSettled([
    (async () => {
      const purchases = await buyAtOnce(engine, itemId, { count: orders, amountOf });
      return { purchases, snapshot: await idleSnapshot(engine, itemId) };
    })(),
  ]);
  // Before a failure is thrown: a watch that goes on would disturb the next scenario.
  const { violations, looks } = await stock.end();
  if (bought.status === 'rejected') throw bought.reason;
  const { purchases, snapshot } = bought.value;
  const accepted = purchases.filter(isAccepted).map(({ body }) => body.request_id);
  const views = await Promise.all(accepted.map((requestId) => engine.gateway.order(requestId)));
  const sold = [...snapshot.entries.values()].filter(({ state }) => state === 'sold').length;
  return {
    figures: `${orders} orders for ${units} units: ${accepted.length} accepted, ${accepted.length - sold} failed, ${snapshot.counts.sold} units sold, ${looks} looks`,
    misses: [
      ...violations,
      ...(looks === 0 ? ['no look at the stock was answered'] : []),
      ...checkResponses(purchases, round),
      ...idleViolations(snapshot, { supply: units, accepted }),
      ...checkLedger(purchases, snapshot),
      ...checkOutcomes(accepted, views, snapshot),
    ],
  };
}

async function look({ watcher }: RunningEngine, itemId: string): Promise<ItemBody | undefined> {
  const item = await watcher.item(itemId).catch((error: unknown) => {
    // A gateway under a burst may refuse a look; that says nothing about the stock.
    if (error instanceof GatewayError) return 'refused' as const;
    throw error;
  });
  if (item === undefined) throw new Error(`the item ${itemId} has vanished`);
  return item === 'refused' ? undefined : item;
}

/** At the gateway: every response is 202 or sold-out, and as many units were given out as there were. */
function checkResponses(purchases: readonly Purchase[], { units, amountMax }: Round): string[] {
  const undecided = purchases.filter(({ outcome }) => outcome === 'undecided');
  const strange = purchases.filter(
    (purchase) =>
      !isAccepted(purchase) && purchase.outcome !== 'undecided' && purchase.problem !== 'sold-out',
  );
  // What is left over may be too little for the last orders.
  const least = units - (amountMax - 1);
  const given = acceptedUnits(purchases);
  const word = ({ body, problem }: Purchase) => `${body.request_id} (${problem})`;
  return [
    ...named('orders without a definite response', undecided.map(word)),
    ...named('orders neither accepted nor sold out', strange.map(word)),
    ...(given < least ? [`only ${given} of ${units} units were given out`] : []),
  ];
}

/** In the ledger: only accepted orders, and every unit of theirs either sold or released. */
function checkLedger(purchases: readonly Purchase[], { entries }: ItemSnapshot): string[] {
  const accepted = new Set(purchases.filter(isAccepted).map(({ body }) => body.request_id));
  const extra = [...entries.keys()].filter((requestId) => !accepted.has(requestId));
  const decided = unitsOf(entries, 'sold') + unitsOf(entries, 'released');
  return [
    ...named('orders in the ledger that were not accepted', extra),
    ...same('units of 202 responses', acceptedUnits(purchases), decided),
  ];
}

function acceptedUnits(purchases: readonly Purchase[]): number {
  return purchases.filter(isAccepted).reduce((units, { body }) => units + body.amount, 0);
}

/** At the orders' own pages: each accepted order has one final outcome, the one of the ledger. */
function checkOutcomes(
  accepted: readonly string[],
  views: readonly (OrderBody | undefined)[],
  { entries }: ItemSnapshot,
): string[] {
  const wrong = accepted.flatMap((requestId, index) => {
    const view = views[index];
    if (!view) return [`${requestId} (unknown to the gateway)`];
    const ends = view.timeline.filter(({ state }) => state === 'sold' || state === 'released');
    if (!isFinal(view.status) || ends.length !== 1) {
      return [`${requestId} (${view.status}, ${ends.length} outcomes)`];
    }
    const entry = entries.get(requestId);
    const inLedger = entry && orderStatus(entry);
    return inLedger === view.status ? [] : [`${requestId} (${view.status}, not ${inLedger})`];
  });
  return named('accepted orders without exactly one outcome', wrong);
}
