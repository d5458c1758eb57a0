import { setTimeout as sleep } from 'node:timers/promises';
import type { LedgerEntry } from '../../engine/orders/ledger';
import { totalMinor } from '../../engine/orders/order';
import { paymentKey } from '../../engine/orders/order-status';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import { atRest, type Rest } from './at-rest';
import { buyAtOnce, type Purchased } from './buy-until-definite';
import { byOrder, type ChargeRow } from './charge-rows';
import type { Scene } from './scene';
import { named, same, type Verdict } from './verdict';
import { imbalance } from './watch-stock';

const ORDERS = 100;

/** Orders of one and of two units in turn: an amount that is always the same could be right by accident. */
const amountOf = (index: number) => 1 + (index % 2);
const UNITS = 150;

/** Declined payments: the units are back, the order is in the dead letters, and only sold orders cost anybody money. */
export async function failedPayments(scene: Scene): Promise<Verdict> {
  const itemId = await scene.putOnSale(UNITS);
  const dlqEnd = await scene.deadLetters.end();
  const purchases = await buyAtOnce(scene, itemId, { count: ORDERS, amountOf });
  const rest = await atRest(scene, itemId);
  const entries = [...rest.entries];
  const failed = entries.filter(([, { state }]) => state === 'released');
  const sold = entries.filter(([, { state }]) => state === 'sold');
  // The dead letter is the saga's last step: once it is there, the money is settled, too.
  const letters = await lettersOf(
    scene,
    dlqEnd,
    failed.map(([requestId]) => requestId),
  );
  const charges = byOrder(await scene.charges());
  return {
    figures: `${entries.length} orders, ${sold.length} sold and charged, ${failed.length} declined and in the dead letters`,
    misses: [
      ...named('orders that were not accepted', purchases.filter(isNotAccepted).map(word)),
      ...same('the number of orders in the ledger', entries.length, ORDERS),
      ...(failed.length === 0 ? ['no payment failed: is PAYMENT_DECLINE_RATE 0?'] : []),
      ...(sold.length === 0 ? ['every payment failed'] : []),
      ...checkUnits(rest),
      ...checkLetters(rest, letters),
      ...named('sold orders without exactly one right charge', wronglyCharged(sold, charges)),
      ...named('failed orders that were charged', chargedInVain(failed, charges)),
    ],
  };
}

type NamedEntry = readonly [requestId: string, entry: LedgerEntry];

const isNotAccepted = ({ answer }: Purchased) => answer !== 'accepted';
const word = ({ body, problem }: Purchased) => `${body.request_id} (${problem ?? 'no answer'})`;

/** The item's dead letters since `fromOffset`, as soon as every order in `requestIds` has one, or when the bound is over. */
async function lettersOf(
  scene: Scene,
  fromOffset: string,
  requestIds: readonly string[],
): Promise<readonly StoredDeadLetter[]> {
  const deadline = performance.now() + scene.bounds.restMsMax;
  for (;;) {
    const letters = await scene.deadLetters.read(fromOffset);
    const present = new Set(letters.map(({ requestId }) => requestId));
    const isComplete = requestIds.every((requestId) => present.has(requestId));
    if (isComplete || performance.now() >= deadline) return letters;
    await sleep(scene.bounds.pollMs);
  }
}

function checkUnits({ item, entries }: Rest): string[] {
  const sold = [...entries.values()]
    .filter(({ state }) => state === 'sold')
    .reduce((units, entry) => units + entry.units, 0);
  return [
    ...imbalance(item, UNITS),
    ...same('units sold', item.sold, sold),
    ...same('units free again', item.free, UNITS - sold),
  ];
}

/** Each failed order once, for a declined payment; no other order of the item. */
function checkLetters({ entries }: Rest, letters: readonly StoredDeadLetter[]): string[] {
  const wrong = [...entries].flatMap(([requestId, { state, reason }]) => {
    const own = letters.filter((letter) => letter.requestId === requestId);
    if (state !== 'released') {
      return own.length === 0 ? [] : [`${requestId} (${state}, yet ${own.length} dead letters)`];
    }
    if (own.length !== 1) return [`${requestId} (${own.length} dead letters)`];
    const reasons = [reason ?? 'none', own[0]?.reason ?? 'none'];
    const isDeclined = reasons.every((one) => one === 'payment-declined');
    return isDeclined ? [] : [`${requestId} (${reasons.join(' in the ledger, ')} in the letter)`];
  });
  return named('orders with wrong dead letters', wrong);
}

type ChargesByOrder = ReadonlyMap<string, readonly ChargeRow[]>;

function captured(charges: ChargesByOrder, requestId: string): readonly ChargeRow[] {
  return (charges.get(requestId) ?? []).filter(({ status }) => status === 'captured');
}

function wronglyCharged(sold: readonly NamedEntry[], charges: ChargesByOrder): string[] {
  return sold.flatMap(([requestId, entry]) => {
    const own = captured(charges, requestId);
    const [charge] = own;
    if (own.length !== 1 || !charge) return [`${requestId} (${own.length} charges)`];
    const due = totalMinor({ priceMinor: entry.priceMinor, amount: entry.units });
    const isRight =
      charge.key === paymentKey(requestId, entry.generation) &&
      charge.amount === due &&
      charge.currency === entry.currency;
    if (isRight) return [];
    return [`${charge.key} (${charge.amount} ${charge.currency}, not ${due} ${entry.currency})`];
  });
}

function chargedInVain(failed: readonly NamedEntry[], charges: ChargesByOrder): string[] {
  return failed
    .map(([requestId]) => requestId)
    .filter((requestId) => captured(charges, requestId).length > 0);
}
