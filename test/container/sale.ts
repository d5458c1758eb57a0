import { setTimeout as pause } from 'node:timers/promises';
import { buyUntilDecided, type BuyBody } from '../support/buyers';

/** Longer than a process takes to exit, to start and to be reachable again. */
const DECIDED_MS_MAX = 120_000;

export interface Sale {
  readonly accepted: readonly BuyBody[];
  /** The number of requests whose first try got 202. */
  readonly acceptedAtOnce: number;
}

/**
 * Sells one unit each to `perSecond` buyers a second while `meanwhile` runs. Each buyer repeats the request until it is
 * decided, as a good client does. Rejects on a response that tells a good client nothing.
 */
export async function sellWhile(
  gateway: string,
  itemId: string,
  { perSecond, meanwhile }: { perSecond: number; meanwhile: () => Promise<void> },
): Promise<Sale> {
  const decisions: ReturnType<typeof buyUntilDecided>[] = [];
  const over = new AbortController();
  const disturbed = meanwhile().finally(() => {
    over.abort();
  });
  while (!over.signal.aborted) {
    const name = `${itemId}-${String(decisions.length)}`;
    const body = { user_id: name, item_id: itemId, amount: 1, request_id: name };
    decisions.push(buyUntilDecided(gateway, body, DECIDED_MS_MAX));
    await pause(1000 / perSecond);
  }
  await disturbed;
  const decided = await Promise.all(decisions);
  return {
    accepted: decided.filter(({ accepted }) => accepted).map(({ body }) => body),
    acceptedAtOnce: decided.filter(({ accepted, tries }) => accepted && tries === 1).length,
  };
}
