import type { LedgerEntry, TimelineStep } from '../orders/ledger';
import type { Order } from '../orders/order';
import type { RunStory, Standing } from './run-story';

/** The entry of an order that is in the log and was not started yet: its units are held for it. */
export function queuedEntry(order: Order): LedgerEntry {
  return {
    ...entryOf(order),
    state: 'queued',
    timeline: [{ at: order.acceptedAt, state: 'queued' }],
  };
}

/**
 * The entry of an order from the stories of its runs, oldest first; undefined where the id was another request's. Where
 * the stories leave a doubt about money, the generation counts as owed: to settle one twice changes nothing. So does the
 * next generation, where a run may have opened and charged it unheard: it is never charged again.
 */
export function restoredEntry(stories: readonly RunStory[]): LedgerEntry | undefined {
  const own = stories.filter(({ foreign }) => !foreign);
  const last = own.at(-1);
  if (!last) return undefined;
  // Nothing comes after a sale, whatever a later run was told.
  const sold = own.find(({ stands }) => stands?.state === 'sold');
  const told = own.findLast(({ stands }) => stands !== undefined);
  const { stands, finishedAt } = sold ?? told ?? last;
  const named = own.flatMap((story) => story.generations);
  const unheard = sold || !own.some((story) => story.unheard) ? [] : [Math.max(0, ...named) + 1];
  const generation = Math.max(0, ...named, ...unheard);
  if (!stands) return { ...queuedEntry(last.order), generation, unresolvedCharges: unheard };

  const settled = new Set(own.flatMap((story) => story.settled));
  const paid = stands.state === 'sold' ? stands.generation : undefined;
  const owed = [...new Set([...named, ...unheard])].filter(
    (one) => one !== paid && !settled.has(one),
  );
  const at = finishedAt ?? last.order.acceptedAt;
  const timeline: TimelineStep[] = [
    { at: last.order.acceptedAt, state: 'queued' },
    { at, state: stands.state },
  ];
  return {
    ...entryOf(last.order),
    ...{ state: stands.state, timeline, unresolvedCharges: owed.sort((one, other) => one - other) },
    generation: stands.state === 'sold' ? stands.generation : generation,
    fence: Math.max(...own.map(({ fence }) => fence)),
    ...outcomeOf(stands),
    ...(own.some(({ cancelledByBuyer }) => cancelledByBuyer) && { cancelledByBuyer: true }),
    ...(stands.state !== 'reserved' && { finishedAt: at }),
  };
}

function outcomeOf(stands: Standing): Partial<LedgerEntry> {
  if (stands.state === 'released') return { reason: stands.reason };
  return stands.state === 'sold' && stands.paymentId !== undefined
    ? { paymentId: stands.paymentId }
    : {};
}

function entryOf(order: Order): LedgerEntry {
  const { userId, fingerprint, priceMinor, currency, acceptedAt } = order;
  return {
    ...{
      state: 'queued',
      units: order.amount,
      userId,
      fingerprint,
      priceMinor,
      currency,
      acceptedAt,
    },
    ...{ generation: 0, fence: 0, unresolvedCharges: [], timeline: [] },
  };
}
