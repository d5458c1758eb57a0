import { setTimeout as sleep } from 'node:timers/promises';
import { chargeViolations, idleViolations, named, same } from '../../client/invariants';
import type { ItemSnapshot } from '../../client/snapshot';
import type { StoredDeadLetter } from '../../engine/kafka/dead-letters';
import {
  buyAtOnce,
  idleSnapshot,
  isAccepted,
  type RunningEngine,
  type Verdict,
} from './running-engine';

const ORDERS = 100;

/** Orders of one and of two units in turn: an amount that is always the same could be right by accident. */
const amountOf = (index: number) => 1 + (index % 2);
const UNITS = 150;

/** Declined payments: the units are free again, the order has a dead letter, and only sold orders are charged. */
export async function failedPayments(engine: RunningEngine): Promise<Verdict> {
  const itemId = await engine.putOnSale(UNITS);
  const dlqEnd = await engine.deadLetters.end();
  const purchases = await buyAtOnce(engine, itemId, { count: ORDERS, amountOf });
  const snapshot = await idleSnapshot(engine, itemId);
  const { entries } = snapshot;
  const idsOf = (wanted: string) =>
    [...entries].filter(([, { state }]) => state === wanted).map(([requestId]) => requestId);
  const [failed, sold] = [idsOf('released'), idsOf('sold')];
  // The dead letter is the saga's last step: once it is there, the charge is resolved, too.
  const letters = await lettersOf(engine, dlqEnd, failed);
  const charges = await engine.charges(itemId);
  const refused = purchases.filter((purchase) => !isAccepted(purchase));
  return {
    figures: `${entries.size} orders, ${sold.length} sold and charged, ${failed.length} declined and in the dead letters`,
    misses: [
      ...named(
        'orders that were not accepted',
        refused.map(({ body, problem }) => `${body.request_id} (${problem})`),
      ),
      ...same('the number of orders in the ledger', entries.size, ORDERS),
      ...(failed.length === 0 ? ['no payment failed: is PAYMENT_DECLINE_RATE 0?'] : []),
      ...(sold.length === 0 ? ['every payment failed'] : []),
      ...idleViolations(snapshot, { supply: UNITS, accepted: [...entries.keys()] }),
      ...checkLetters(entries, letters),
      ...chargeViolations(entries, charges),
    ],
  };
}

/** The dead letters since `fromOffset`, as soon as every order in `requestIds` has one, or when the bound is over. */
async function lettersOf(
  { deadLetters, bounds }: RunningEngine,
  fromOffset: string,
  requestIds: readonly string[],
): Promise<readonly StoredDeadLetter[]> {
  const deadline = performance.now() + bounds.idleMsMax;
  for (;;) {
    const letters = await deadLetters.read(fromOffset);
    const present = new Set(letters.map(({ requestId }) => requestId));
    const isComplete = requestIds.every((requestId) => present.has(requestId));
    if (isComplete || performance.now() >= deadline) return letters;
    await sleep(bounds.pollMs);
  }
}

/** Each failed order has one letter, for a declined payment; every other order of the item has none. */
function checkLetters(
  entries: ItemSnapshot['entries'],
  letters: readonly StoredDeadLetter[],
): string[] {
  const wrong = [...entries].flatMap(([requestId, { state, reason }]) => {
    const found = letters.filter((letter) => letter.requestId === requestId);
    if (state !== 'released') {
      return found.length === 0 ? [] : [`${requestId} (${state}, yet ${found.length} letters)`];
    }
    if (found.length !== 1) return [`${requestId} (${found.length} letters)`];
    const reasons = [reason ?? 'none', found[0]?.reason ?? 'none'];
    const isDeclined = reasons.every((one) => one === 'payment-declined');
    return isDeclined ? [] : [`${requestId} (${reasons.join(' in the ledger, ')} in the letter)`];
  });
  return named('orders with wrong dead letters', wrong);
}
