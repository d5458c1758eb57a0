import { createRequire } from 'node:module';
import { invariant } from '../orders/invariant';
import { encodeBatchesOurselves } from './producing/produce-encoding';

/** The one version whose internals were read and measured. */
const KAFKAJS_VERSION = '2.2.4';

let isChanged = false;

/** Changes what the library does badly, once for the whole process. Throws where it is another version of it. */
export function changeLibrary(): void {
  if (isChanged) return;
  const load = createRequire(__filename);
  const { version } = load('kafkajs/package.json') as { version: string };
  invariant(version === KAFKAJS_VERSION, `kafkajs is ${version}, checked was ${KAFKAJS_VERSION}`);
  stopIdleTimer(load);
  encodeBatchesOurselves(load);
  isChanged = true;
}

interface RequestQueue {
  readonly pending: readonly unknown[];
  /** Milliseconds since the epoch; in the past when the broker does not throttle us. */
  readonly throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests: () => void;
}

/** How soon a queue with requests in it looks again; the library's own interval. */
const CHECK_PENDING_MS = 10;

/**
 * Every connection of this version re-arms a 1 ms timer for ever after its first request: 6 % of a core for nothing.
 * Its queue now sets a timer only while a request waits or the broker throttles.
 */
function stopIdleTimer(load: NodeJS.Require): void {
  const queue = load('kafkajs/src/network/requestQueue') as {
    prototype: { scheduleCheckPendingRequests: (this: RequestQueue) => void };
  };
  queue.prototype.scheduleCheckPendingRequests = scheduleCheckPendingRequests;
}

function scheduleCheckPendingRequests(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null) return;
  const throttledMs = this.throttledUntil - Date.now();
  if (throttledMs <= 0 && this.pending.length === 0) return;
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    Math.max(throttledMs, CHECK_PENDING_MS),
  );
}
