import { setTimeout as sleep } from 'node:timers/promises';
import { type LedgerEntry } from '../engine/orders/ledger';
import { totalMinor, paymentKey } from '../engine/orders/order';
import { describeError } from '../platform/user-error';
import type { Charge, ItemSnapshot } from './snapshot';
import type { StockCounts } from '../engine/orders/sale';

/** What is wrong with the stock of an item that was put on sale with `supply` units. Holds at every instant. */
export function stockViolations(counts: StockCounts, supply: number): string[] {
  const { free, held, queued, reserved, sold } = counts;
  const taken = held + queued + reserved + sold;
  const numbers = `free ${free}, held ${held}, queued ${queued}, reserved ${reserved}, sold ${sold}, supply ${counts.supply}`;
  const violations: string[] = [];
  if (taken > supply) violations.push(`oversold: ${taken} of ${supply} units taken (${numbers})`);
  if ([free, held, queued, reserved, sold].some((units) => units < 0)) {
    violations.push(`less than nothing: ${numbers}`);
  }
  if (free + taken !== counts.supply) violations.push(`does not add up: ${numbers}`);
  if (counts.supply !== supply) violations.push(`supply moved from ${supply}: ${numbers}`);
  return violations;
}

/** What is wrong with an idle item: its stock, and the accepted orders (request_ids), each of which must be final. */
export function idleViolations(
  { counts, entries }: ItemSnapshot,
  { supply, accepted }: { readonly supply: number; readonly accepted: readonly string[] },
): string[] {
  const sold = unitsOf(entries, 'sold');
  const isFinal = (id: string) => ['sold', 'released'].includes(entries.get(id)?.state ?? '');
  const open = accepted.filter((id) => entries.has(id) && !isFinal(id));
  return [
    ...stockViolations(counts, supply),
    ...same('units sold by the count', counts.sold, sold),
    ...same('units free again', counts.free, supply - sold),
    ...named(
      'accepted orders lost',
      accepted.filter((id) => !entries.has(id)),
    ),
    ...named('accepted orders that are not final', open),
  ];
}

/** What is wrong with the charges of an item's orders: each sold order has one, for the right amount, others have none. */
export function chargeViolations(
  entries: ItemSnapshot['entries'],
  charges: readonly Charge[],
): string[] {
  const names = new Map(
    [...entries].map(([id, { orderId }]) => [withoutGeneration(paymentKey(id, orderId, 1)), id]),
  );
  const captured = new Map<string, Charge[]>();
  for (const charge of charges) {
    if (charge.status !== 'captured') continue;
    const order = withoutGeneration(charge.key);
    const requestId = names.get(order) ?? order;
    captured.set(requestId, [...(captured.get(requestId) ?? []), charge]);
  }
  const isSold = (id: string) => entries.get(id)?.state === 'sold';
  const wrong = [...entries].flatMap(([id, entry]) => {
    const found = captured.get(id) ?? [];
    const [charge] = found;
    if (entry.state !== 'sold') return [];
    if (found.length !== 1 || !charge) return [`${id} (${found.length} charges)`];
    const due = totalMinor({ priceMinor: entry.priceMinor, amount: entry.units });
    const { key, amount, currency } = charge;
    const isRight =
      key === paymentKey(id, entry.orderId, entry.generation) &&
      amount === due &&
      currency === entry.currency;
    return isRight ? [] : [`${key} (${amount} ${currency}, not ${due} ${entry.currency})`];
  });
  const unsold = [...captured.keys()].filter((id) => !isSold(id));
  return [
    ...named('sold orders without exactly one right charge', wrong),
    ...named('orders charged although they are not sold', unsold),
  ];
}

/** The part of a payment key that all generations of an order share. */
function withoutGeneration(key: string): string {
  return key.slice(0, key.lastIndexOf(':'));
}

/** Some twenty looks a second: each costs the engine one read. */
const LOOK_MS = 50;

/**
 * Looks at an item's stock until `end` is called, at least once. `look` answers undefined when it could not see the stock.
 * `end` answers the violations, each kind once, and how often the stock was seen. A look that throws is a violation, too.
 * `supplyMax`: what the supply may grow to where units of refunded sales are put back; `supply` where none are.
 */
export function watchStock(
  look: () => Promise<StockCounts | undefined>,
  supply: number,
  supplyMax = supply,
) {
  const violations = new Set<string>();
  let looks = 0;
  let isOver = false;
  const watch = async () => {
    do {
      const counts = await look().catch((error: unknown) => {
        violations.add(`the stock could not be read: ${describeError(error)}`);
        return undefined;
      });
      if (counts) {
        looks += 1;
        const now = Math.min(Math.max(counts.supply, supply), supplyMax);
        for (const violation of stockViolations(counts, now)) violations.add(violation);
      }
      await sleep(LOOK_MS);
    } while (!isOver);
  };
  const watching = watch();
  return {
    end: async (): Promise<{ readonly violations: readonly string[]; readonly looks: number }> => {
      isOver = true;
      await watching;
      return { violations: [...violations], looks };
    },
  };
}

export function unitsOf(entries: ItemSnapshot['entries'], state: LedgerEntry['state']): number {
  return [...entries.values()]
    .filter((entry) => entry.state === state)
    .reduce((sum, { units }) => sum + units, 0);
}

/** "3 orders: a, b, c", cut after a few; nothing when there is none. */
export function named(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length - NAMES_MAX;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return [`${names.length} ${what}: ${names.slice(0, NAMES_MAX).join(', ')}${more}`];
}

const NAMES_MAX = 3;

/** One violation unless the two are the same. */
export function same<T extends number | string>(what: string, actual: T, expected: T): string[] {
  return actual === expected ? [] : [`${what} is ${actual}, not ${expected}`];
}
