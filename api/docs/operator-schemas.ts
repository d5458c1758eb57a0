import { Type } from '@sinclair/typebox';
import { FAILURE_REASONS } from '../../engine/orders/order';
import { Id } from '../buy/buy-request';
import { object, oneOf, orNull, time, units } from './schemas';

const text = (description: string) => Type.String({ description });

const LETTER = {
  at: orNull(time('when it was written'), 'null: it does not say'),
  request_id: orNull(text('of the order'), 'null: none that could be read'),
  reason: oneOf(FAILURE_REASONS, 'why it failed'),
  generation: units('the try that failed; 0 when nothing was reserved'),
  item_id: orNull(text('the item'), 'null: none that could be read'),
  error: text('the fault in words'),
  id: text('names this letter; an order has one for each failure'),
  run_id: orNull(text('of its workflow'), 'null: there was none'),
  partition: units('where the letter lies'),
  offset: text('where the letter lies'),
  source: orNull(
    object({ topic: Type.String(), partition: units('its place'), offset: Type.String() }),
    'the record that the order was read from',
  ),
  state: oneOf(['open', 'replayed', 'sold', 'discarded'], 'what was last done about it'),
  marks: Type.Array(
    object({
      kind: oneOf(['replayed', 'sold', 'discarded'], 'what was done'),
      by: text('who'),
      why: text('their reason'),
      at: orNull(time('when'), 'null: it does not say'),
      run_id: orNull(text('the run that was started'), 'null: none'),
    }),
  ),
};

export const DeadLetter = object(LETTER);
export const DeadLetters = object({
  total: units('letters that fit; the newest of them are shown, oldest first'),
  letters: Type.Array(DeadLetter),
});
export const WholeDeadLetters = object({
  letters: Type.Array(
    object({
      ...LETTER,
      value: orNull(text('the original record'), 'null: its bytes are no text'),
      value_base64: text('its bytes'),
    }),
  ),
});

const GROUP = {
  count: units('how many'),
  first: orNull(time('the oldest'), 'null: none says a time'),
  last: orNull(time('the newest'), 'null: none says a time'),
};
export const DeadLetterStats = object({
  total: units('letters that fit'),
  by_failure: Type.Array(object({ reason: Type.String(), error: Type.String(), ...GROUP })),
  by_item: Type.Array(object({ item_id: orNull(Id, 'null: none that could be read'), ...GROUP })),
});

export const ReplayedOrder = object({
  request_id: orNull(text('the order'), 'null: none that could be read'),
  letter_id: text('the letter'),
  outcome: text('started, appended, running, sold and the like; `detail` says it in words'),
  run_id: orNull(text('the new run'), 'null: none was started'),
  detail: text('for people'),
});
export const ReplayReport = object({
  orders: Type.Array(ReplayedOrder),
  left: units('orders that were not looked at since max was reached: send the same again'),
});

export const Discarded = object({
  letters: Type.Array(
    object({
      letter_id: text('the letter'),
      request_id: orNull(text('its order'), 'null: none that could be read'),
      outcome: oneOf(['discarded', 'dealt-with-before'], 'what became of it'),
    }),
  ),
});

export const Restocked = object({
  item_id: Id,
  operation_id: Id,
  free_before: units('free units before'),
  free: units('free units right after it'),
  new_item: Type.Boolean({ description: 'it is on sale from now on' }),
  done_before: Type.Boolean({
    description: 'this operation had been sent before; nothing was done',
  }),
});
