import { setTimeout as sleep } from 'node:timers/promises';
import type { FollowedEvents } from '../orders/contract';
import type { ActOnHint } from './payment-hints';
import type { PaymentEvents, PaymentHint } from './payment-provider';

/** An event may become visible after one that was made later. */
const OVERLAP_MS = 120_000;
/** As long as providers keep their events: where nobody knows how far they were read. */
const EVENTS_KEPT_MS = 30 * 24 * 3_600_000;
/** How long an event that cannot be acted on is tried again: then somebody has looked after the ledger of its item. */
const TRIED_MS_MAX = 24 * 3_600_000;
/** How many of those with each look: what is new does not wait for them long. */
const TRIED_MAX = 50;

/**
 * Follows the provider's own list of events, for the webhooks that do not come, until `signal` is aborted. An event that cannot
 * be acted on now, as while the ledger of its item is lost, is tried again with a next look, for a day at least, and the others
 * go on. `onFailure` is told of each try that fails, and of the last one that the event is given up. `onProgress` gets how far
 * all was acted on: whoever goes on from there misses nothing, and may see some events again. Throws where the list cannot be
 * read.
 */
export async function followEvents(
  {
    events,
    act,
    onFailure,
  }: {
    readonly events: Pick<PaymentEvents, 'listEvents'>;
    readonly act: ActOnHint;
    readonly onFailure: (
      eventId: string,
      error: unknown,
      outlook: { readonly isGivenUp: boolean },
    ) => void;
  },
  from: FollowedEvents | undefined,
  {
    everyMs,
    signal,
    onProgress,
    now = Date.now,
  }: {
    readonly everyMs: number;
    readonly signal: AbortSignal;
    readonly onProgress: (progress: FollowedEvents) => void;
    readonly now?: () => number;
  },
): Promise<FollowedEvents> {
  let newest = from?.until ?? now() - EVENTS_KEPT_MS;
  /** Those that were not acted on, by id, the longest untried first. */
  const waiting = new Map<string, Waiting>();
  /** Those that need not be looked at again, by id: when they were made. */
  const seen = new Map<string, number>();
  /** The compiler thinks that it stays as it was. */
  const isAborted = () => signal.aborted;
  const progress = (): FollowedEvents => {
    let oldest: Waiting | undefined;
    for (const one of waiting.values()) if (!oldest || one.at < oldest.at) oldest = one;
    return oldest && oldest.at <= newest
      ? { until: oldest.at, triedSince: oldest.since }
      : { until: newest };
  };

  const tryOnce = async (id: string, at: number, hint: PaymentHint) => {
    // Of the others it is not kept: they are tried for longer.
    const before = at === from?.until ? from.triedSince : undefined;
    const since = waiting.get(id)?.since ?? before ?? now();
    waiting.delete(id);
    waiting.set(id, { at, hint, since });
    try {
      await act(hint);
    } catch (error) {
      const isGivenUp = now() - since >= TRIED_MS_MAX;
      onFailure(id, error, { isGivenUp });
      if (!isGivenUp) return;
    }
    waiting.delete(id);
  };
  const readOn = async (since: number) => {
    for (let next: number | undefined = since; next !== undefined && !signal.aborted;) {
      const page = await events.listEvents(next);
      for (const { id, at, hint } of page.events) {
        // What was not acted on must not count as such.
        if (isAborted()) return;
        // A clock that is ahead must not hide what comes later.
        const madeAt = Math.min(at, now());
        if (hint && !seen.has(id)) await tryOnce(id, madeAt, hint);
        seen.set(id, madeAt);
        newest = Math.max(newest, madeAt);
      }
      // It would grow with all that the provider has: no later look goes back further.
      for (const [id, at] of seen) if (at < newest - OVERLAP_MS) seen.delete(id);
      onProgress(progress());
      next = page.next;
    }
  };

  while (!isAborted()) {
    const again = [...waiting].slice(0, TRIED_MAX);
    await readOn(Math.max(0, newest - OVERLAP_MS));
    for (const [id, { at, hint }] of again) if (!isAborted()) await tryOnce(id, at, hint);
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
  return progress();
}

interface Waiting {
  readonly at: number;
  readonly hint: PaymentHint;
  /** When it was tried first. */
  readonly since: number;
}
