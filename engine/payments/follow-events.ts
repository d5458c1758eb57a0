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

/**
 * Follows the provider's own list of events, for the webhooks that do not come, until `signal` is aborted. An event that cannot
 * be acted on now, as while the ledger of its item is lost, is tried again with the next look, and the others go on. `onProgress`
 * gets how far all was acted on: whoever goes on from there misses nothing, and may see some events again. Throws where the list
 * cannot be read.
 */
export async function followEvents(
  {
    events,
    act,
    onFailure,
  }: {
    readonly events: Pick<PaymentEvents, 'listEvents'>;
    readonly act: ActOnHint;
    readonly onFailure: (eventId: string, error: unknown) => void;
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
  /** Those that were not acted on, by id. */
  const waiting = new Map<string, { readonly at: number; readonly hint: PaymentHint }>();
  /** Those that need not be looked at again, by id: when they were made. */
  const seen = new Map<string, number>();
  /** The compiler thinks that it stays as it was. */
  const isAborted = () => signal.aborted;
  const until = () => Math.min(newest, ...[...waiting.values()].map(({ at }) => at));

  const tryOnce = async (id: string, at: number, hint: PaymentHint) => {
    waiting.set(id, { at, hint });
    try {
      await act(hint);
    } catch (error) {
      onFailure(id, error);
      if (now() - at < TRIED_MS_MAX) return;
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
      onProgress({ until: until() });
      next = page.next;
    }
  };

  while (!isAborted()) {
    const since = Math.max(0, newest - OVERLAP_MS);
    for (const [id, at] of seen) if (at < since) seen.delete(id);
    for (const [id, { at, hint }] of [...waiting]) {
      if (!isAborted()) await tryOnce(id, at, hint);
    }
    await readOn(since);
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
  return { until: until() };
}
