import type { OrderAppender } from '../buy/place-order';
import type { Probe } from './health';

/** A broker that acknowledged a record this recently, in ms, need not be asked whether it is there. */
const RECENT_MS = 3_000;

/**
 * Whether Kafka answers. `watched` is the appender to use: its acknowledgements are the proof, and only while there are
 * none is `lookUp` called, once at a time, however many ask.
 */
export function createKafkaProbe(
  appender: OrderAppender,
  lookUp: () => Promise<unknown>,
): { readonly watched: OrderAppender; readonly probe: Probe } {
  let acknowledgedAt = -Infinity;
  let running: Promise<boolean> | undefined;

  return {
    watched: {
      append: async (record) => {
        const appended = await appender.append(record);
        acknowledgedAt = performance.now();
        return appended;
      },
    },
    probe: () => {
      if (performance.now() - acknowledgedAt < RECENT_MS) return true;
      running ??= lookUp()
        .then(() => true)
        .finally(() => {
          running = undefined;
        });
      return running;
    },
  };
}
