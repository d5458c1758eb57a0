import { setTimeout as sleep } from 'node:timers/promises';
import type { StockCounts } from '../../../engine/orders/ledger';
import type { ItemId } from '../../../engine/orders/order';
import type { StockLedger } from '../../../engine/stock/stock-ledger';

/** Some twenty looks a second: each is one script, and the ledger has better things to do. */
const LOOK_EVERY_MS = 50;

export interface StockWatch {
  /** What was wrong at any look, each kind once; `looks` is how often was looked. */
  readonly end: () => Promise<{ readonly wrong: readonly string[]; readonly looks: number }>;
}

/** Looks at an item's stock all the while and remembers every look at which the supply was not what it should be. */
export function watchStock(
  ledger: Pick<StockLedger, 'item'>,
  itemId: ItemId,
  supply: number,
): StockWatch {
  const wrong = new Set<string>();
  const over = new AbortController();
  let looks = 0;
  const watching = async () => {
    while (!over.signal.aborted) {
      const item = await ledger.item(itemId);
      looks += 1;
      for (const fault of item ? faultsOf(item.counts, supply) : ['the item is unknown']) {
        wrong.add(fault);
      }
      await sleep(LOOK_EVERY_MS);
    }
  };
  const watched = watching().catch((error: unknown) => {
    wrong.add(`the stock could not be read: ${String(error)}`);
  });
  return {
    end: async () => {
      over.abort();
      await watched;
      return { wrong: [...wrong], looks };
    },
  };
}

function faultsOf(counts: StockCounts, supply: number): string[] {
  const { free, held, queued, reserved, sold } = counts;
  const parts = { free, held, queued, reserved, sold };
  const below = Object.entries(parts).filter(([, units]) => units < 0);
  const sum = Object.values(parts).reduce((total, units) => total + units, 0);
  return [
    ...below.map(([state, units]) => `${state} was ${String(units)}`),
    ...(sum === supply ? [] : [`the units added up to ${String(sum)} of ${String(supply)}`]),
  ];
}
