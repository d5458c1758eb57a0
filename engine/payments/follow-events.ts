import { setTimeout as sleep } from 'node:timers/promises';
import type { FollowedEvents } from '../orders/contract';
import type { ActOnHint } from './payment-hints';
import type { PaymentEvents } from './payment-provider';

/** An event may become visible after one that was made later. */
const OVERLAP_MS = 60_000;
/** As long as providers keep their events: where nobody knows how far they were read. */
const EVENTS_KEPT_MS = 30 * 24 * 3_600_000;
/** Then the payment is left to its deadline, and the events behind it go on. */
const TRIES_MAX = 5;

/**
 * Follows the provider's own list of events, for the webhooks that do not come, until `signal` is aborted. `onProgress` gets how
 * far it is: whoever goes on from there misses nothing, and may see some events again. Throws where the list cannot be read.
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
  let until = from?.until ?? now() - EVENTS_KEPT_MS;
  /** Those of the overlap, by id: when they were made. */
  const seen = new Map<string, number>();

  while (!signal.aborted) {
    const since = Math.max(0, until - OVERLAP_MS);
    for (const [id, at] of seen) if (at < since) seen.delete(id);
    for (let next: number | undefined = since; next !== undefined && !isAborted(signal);) {
      const page = await events.listEvents(next);
      for (const { id, at, hint } of page.events) {
        if (hint && !seen.has(id)) await actOn(id, () => act(hint), { everyMs, signal, onFailure });
        seen.set(id, at);
        until = Math.max(until, at);
      }
      onProgress({ until });
      next = page.next;
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
  return { until };
}

/** The compiler thinks that it stays as it was. */
function isAborted({ aborted }: AbortSignal): boolean {
  return aborted;
}

async function actOn(
  id: string,
  act: () => Promise<unknown>,
  {
    everyMs,
    signal,
    onFailure,
  }: {
    readonly everyMs: number;
    readonly signal: AbortSignal;
    readonly onFailure: (eventId: string, error: unknown) => void;
  },
): Promise<void> {
  for (let tries = 1; !signal.aborted; tries += 1) {
    try {
      await act();
      return;
    } catch (error) {
      onFailure(id, error);
      if (tries === TRIES_MAX) return;
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}
