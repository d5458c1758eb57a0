import { setTimeout as sleep } from 'node:timers/promises';
import { encodeOrderEvent } from '../../engine/orders/order-event';
import type { ItemId } from '../../engine/orders/order';
import { until } from '../../platform/until';
import type { ArchiveFault } from './cases';
import type { Instance } from './instance';

/** What a case does to the engine during a sale. */
export interface Fault {
  /** Lets it happen while buyers buy. Returns why it did not happen; undefined: it did. */
  readonly happen: () => Promise<string | undefined>;
  /** Ends it, also where it has not happened. Returns how often the victim was restarted after it had ended by itself. */
  readonly end: () => Promise<number>;
}

/** A burst is archived within seconds. */
const IN_THE_BURST_MS_MAX = 90_000;

/** Prepares a fault that happens once so many orders of the item are archived. */
export async function prepareArchiveFault(
  instance: Instance,
  fault: ArchiveFault,
  { itemId, archived }: { readonly itemId: ItemId; readonly archived: number },
): Promise<Fault> {
  const { happen, end } = await FAULTS[fault](instance, itemId);
  const inTheBurst = () =>
    until(
      `${archived} orders were not archived`,
      async () => {
        const count = await instance.archive.count(itemId);
        if (count < archived) throw new Error(`${count} are`);
      },
      { withinMs: IN_THE_BURST_MS_MAX, signal: instance.signal },
    );
  return {
    happen: async () => {
      await inTheBurst();
      await happen?.();
      return undefined;
    },
    end: async () => {
      await end?.();
      return 0;
    },
  };
}

type Prepared = Promise<{ readonly happen?: () => unknown; readonly end?: () => unknown }>;

/** While the supervisor waits a little longer each time before it starts it again. */
const KILLS = 3;
const BACK_MS_MAX = 120_000;

/** Longer than the archiver waits for an answer (25 s): what it has sent may take effect after it has sent it again. */
const FROZEN_MS_MIN = 30_000;

const FAULTS: Record<ArchiveFault, (instance: Instance, itemId: ItemId) => Prepared> = {
  kill: async ({ postgres, archive, signal }, itemId) => {
    const release = await postgres.take();
    return {
      happen: async () => {
        for (let kills = 0; kills < KILLS; kills += 1) {
          postgres.kill();
          const bounds = { withinMs: BACK_MS_MAX, signal };
          await until('PostgreSQL is not back', () => archive.count(itemId), bounds);
        }
      },
      end: release,
    };
  },
  freeze: async ({ postgres, signal }) => {
    const release = await postgres.take();
    let frozenUntil = 0;
    return {
      happen: () => {
        postgres.freeze();
        frozenUntil = Date.now() + FROZEN_MS_MIN;
      },
      end: async () => {
        // When it is stopped, the run must not leave frozen processes behind.
        await Promise.allSettled([sleep(frozenUntil - Date.now(), undefined, { signal })]);
        postgres.thaw();
        release();
      },
    };
  },
  cut: ({ databaseProxy }) =>
    Promise.resolve({ happen: databaseProxy.leave, end: databaseProxy.open }),
  rebalance: ({ startArchiver, process: { archiver } }) => {
    let other: Awaited<ReturnType<typeof startArchiver>> | undefined;
    return Promise.resolve({
      happen: async () => {
        other = await startArchiver();
        await archiver.kill('SIGKILL');
        await archiver.restart();
      },
      end: () => other?.stop(),
    });
  },
  reset: ({ process: { archiver }, forgetOffsets }) =>
    Promise.resolve({
      happen: async () => {
        await archiver.stop();
        await forgetOffsets();
        await archiver.restart();
      },
    }),
  replay: ({ archive }) => Promise.resolve({ happen: archive.forgetPositions }),
  repeat: ({ topics, append }, itemId) =>
    Promise.resolve({
      // All of them are there by then.
      end: () => {
        const events = [...topics.events(itemId)].reverse();
        const records = events.map((event) => ({
          key: event.order.requestId,
          value: encodeOrderEvent(event),
        }));
        return append('orderEventsTopic', records);
      },
    }),
};
