import { ID_LENGTH_MAX, isId, type ItemId } from '../../engine/orders/order';
import { PlainFault } from '../user-error';

/** The item that was typed. Throws a PlainFault for what cannot be an id. */
export function itemIdGiven(text: string): ItemId {
  if (isId(text)) return text as ItemId;
  throw new PlainFault(
    `"${text}" is no item id: 1 to ${ID_LENGTH_MAX} characters, beginning with a letter or digit, then also any of . _ ~ : @ + = - Nothing was changed.`,
  );
}
