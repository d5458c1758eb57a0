import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { eventsKey } from './keys';

/** A change that an item's stream tells. */
export interface StockEvent {
  /** A state of an order, or what became of the item: `adjusted`, `opened`, `sale` and the like. */
  readonly state: string;
  /** Free units after it; NaN where the change was not one of stock. */
  readonly free: number;
  /** Absent where the change was the item's. */
  readonly order?: {
    readonly requestId: string;
    readonly units: number;
    readonly generation: number;
  };
}

/** Every change that the item's stream still has, the oldest first. */
export async function readEvents(redis: RedisConnection, itemId: ItemId): Promise<StockEvent[]> {
  const entries = await redis.xrange(eventsKey(itemId), '-', '+');
  return entries.flatMap(([, fields]) => parseEvents(fields));
}

/** The changes of one entry of the stream, in their order. `fields` are names and values by turns, as Redis gives them. */
export function parseEvents(fields: readonly string[]): StockEvent[] {
  const state = fieldOf(fields, 'state') ?? '';
  const changes = fieldOf(fields, 'changes');
  if (changes === undefined) return [{ state, free: Number(fieldOf(fields, 'free')) }];
  return changes.split(',').map((change) => {
    const [requestId = '', units, generation, free] = change.split(' ');
    const order = { requestId, units: Number(units), generation: Number(generation) };
    return { state, free: Number(free), order };
  });
}

function fieldOf(fields: readonly string[], name: string): string | undefined {
  const at = fields.findIndex((field, index) => index % 2 === 0 && field === name);
  return at < 0 ? undefined : fields[at + 1];
}
