import type { ItemId } from '../../../engine/orders/order';
import { entriesOf } from '../../../engine/stock/stored-entry';
import { until } from '../../../platform/until';
import type { Lane } from '../lane/lane';
import { runsOf } from './evidence';
import { describeError } from '../../../platform/user-error';

/**
 * Attempts that a dead worker had in hand are given up after 20 s, a lost workflow task after 10 s, each in its turn:
 * where for so long nothing at all has moved, nothing will.
 */
const STILL_MS_MAX = 90_000;
/** However slow the machine is. */
const REST_MS_MAX = 300_000;

/**
 * Waits until nothing of the item is under way anywhere: no unit between free and sold, no money owed, no open
 * workflow, no record of which there is none. Answers what is still restless when that takes too long.
 */
export async function comeToRest(lane: Lane, itemId: ItemId): Promise<string | undefined> {
  const { signal } = lane;
  let last = '';
  let movedAt = Date.now();
  const lookAgain = async () => {
    const underWay = await look(lane, itemId);
    if (underWay === undefined) return undefined;
    if (underWay !== last) movedAt = Date.now();
    last = underWay;
    if (Date.now() - movedAt > STILL_MS_MAX) return `not at rest, and nothing moves: ${underWay}`;
    throw new Error(underWay);
  };
  try {
    return await until('not at rest', lookAgain, { withinMs: REST_MS_MAX, signal });
  } catch (error) {
    signal.throwIfAborted();
    return describeError(error);
  }
}

/** What is still under way. */
async function look(lane: Lane, itemId: ItemId): Promise<string | undefined> {
  const item = await lane.ledger.item(itemId);
  const { held = 0, queued = 0, reserved = 0 } = item?.counts ?? {};
  if (held + queued + reserved > 0) {
    return `units held ${held}, queued ${queued}, reserved ${reserved}`;
  }
  const entries = [...(await entriesOf(lane.redis, itemId))];
  const owing = entries.filter(([, { unresolvedCharges }]) => unresolvedCharges.length > 0);
  if (owing.length > 0) return `money owed by ${owing.map(([id]) => id).join(', ')}`;

  const runs = await runsOf(lane, itemId);
  const open = runs.filter(({ status }) => status === 'RUNNING');
  if (open.length > 0) return `${open.length} workflows are running`;
  await lane.tap.catchUp(lane.signal);
  const known = new Set(runs.map(({ requestId }) => requestId));
  const buried = new Set(lane.tap.letters(itemId).map(({ requestId }) => requestId));
  const waiting = lane.tap.records(itemId).filter((id) => !known.has(id) && !buried.has(id));
  if (waiting.length > 0) return `no workflow for ${[...new Set(waiting)].join(', ')}`;
  return undefined;
}
