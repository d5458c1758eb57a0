import { setTimeout as pause } from 'node:timers/promises';
import { buyUntilDecided, type BuyBody } from '../support/buyers';

/** Longer than a process may take to end, to start and to be found again. */
const DECIDED_MS_MAX = 120_000;

export interface Sale {
  readonly accepted: readonly BuyBody[];
  /** How many got 202 to their very first try. */
  readonly acceptedAtOnce: number;
}

/**
 * Sells one unit each to a stream of buyers, `perSecond` of them, for as long as `meanwhile` runs. Each sends the same
 * request again until it is decided, as a good client does. Rejects on an answer that no good client could act on.
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
