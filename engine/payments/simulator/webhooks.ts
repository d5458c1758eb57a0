import { setTimeout as delay } from 'node:timers/promises';
import Stripe from 'stripe';
import { Agent, request } from 'undici';
import type { SimulatorEvent } from './ledger/event-list';
import type { Rule } from './misbehaviour';

export interface WebhookReceiver {
  readonly url: string;
  readonly secret: string;
}

/** Of one attempt. */
const TIMEOUT_MS = 5_000;

/** Pauses double from the first to the last; after that time the event is only in the list of events. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;
const RETRIES_MS_MAX = 300_000;

/** Requests at once: more than a gateway handles at once of such requests. */
const AT_ONCE_MAX = 8;

/** Events whose delivery is not over, some 10 MB. Further ones are only in the list of events. */
const WAITING_MAX = 20_000;

/** How long a reordered event waits for another that overtakes it. */
const REORDER_MS = 1_000;

/**
 * Sends events to the receiver, signed in Stripe's scheme, until it answers with a 2xx. Nothing is kept over a restart: what was not
 * delivered is in the list of events.
 */
export function createWebhooks(
  { url, secret }: WebhookReceiver,
  ruleFor: (key: string) => Rule | undefined,
) {
  const dispatcher = new Agent();
  const closing = new AbortController();
  const { signal } = closing;
  const queue: (() => Promise<void>)[] = [];
  const overtaken = new Set<() => void>();
  let waiting = 0;
  let atOnce = 0;

  const post = async (event: SimulatorEvent, key: string): Promise<boolean> => {
    const payload = JSON.stringify(event);
    const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret: key });
    try {
      const response = await request(url, {
        method: 'POST',
        dispatcher,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
        headers: { 'content-type': 'application/json', 'webhook-signature': signature },
        body: payload,
      });
      await response.body.dump();
      return response.statusCode >= 200 && response.statusCode < 300;
    } catch {
      // The receiver is away or slow: the caller tries again.
      return false;
    }
  };
  /** One of at most AT_ONCE_MAX at a time, the longest waiting first. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      queue.push(() => work().then(resolve, reject));
      startNext();
    });
  const startNext = (): void => {
    if (atOnce >= AT_ONCE_MAX) return;
    const work = queue.shift();
    if (!work) return;
    atOnce += 1;
    void work().finally(() => {
      atOnce -= 1;
      startNext();
    });
  };

  const deliver = async (event: SimulatorEvent): Promise<void> => {
    const startedAt = performance.now();
    for (let pause = RETRY_MS_MIN; !signal.aborted; pause = Math.min(2 * pause, RETRY_MS_MAX)) {
      if (await inTurn(() => post(event, secret))) break;
      if (performance.now() - startedAt > RETRIES_MS_MAX) return;
      await delay(pause, undefined, { signal });
    }
    for (const release of overtaken) release();
  };
  const isOvertaken = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const release = () => {
        clearTimeout(timer);
        overtaken.delete(release);
        resolve();
      };
      const timer = setTimeout(release, ms);
      overtaken.add(release);
    });
  const misbehave = async (event: SimulatorEvent, rule: Rule): Promise<void> => {
    if (rule.kind === 'lost') return;
    if (rule.kind === 'forged') {
      await inTurn(() => post(event, `not ${secret}`));
      return;
    }
    if (rule.kind === 'reordered') await isOvertaken(rule.delayMs || REORDER_MS);
    else await delay(rule.delayMs, undefined, { signal });
    const times = rule.kind === 'twice' ? 2 : 1;
    await Promise.all(Array.from({ length: times }, () => deliver(event)));
  };

  return {
    /** Returns at once. */
    send: (event: SimulatorEvent): void => {
      if (waiting >= WAITING_MAX || signal.aborted) return;
      waiting += 1;
      const rule = ruleFor(event.key);
      const sent = rule ? misbehave(event, rule) : deliver(event);
      sent
        // Closing ends every wait.
        .catch((error: unknown) => {
          if (!signal.aborted) throw error;
        })
        .finally(() => (waiting -= 1));
    },
    close: async (): Promise<void> => {
      closing.abort();
      for (const release of overtaken) release();
      await dispatcher.close();
    },
  };
}
