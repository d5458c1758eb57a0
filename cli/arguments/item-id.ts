import { ID_LENGTH_MAX, ID_PATTERN, type ItemId } from '../../domain/order';
import { PlainFault } from '../plain-fault';

const ID = new RegExp(ID_PATTERN);

/** The item that was typed. Throws a PlainFault for what cannot be an id. */
export function itemIdGiven(text: string): ItemId {
  if (text.length <= ID_LENGTH_MAX && ID.test(text)) return text as ItemId;
  throw new PlainFault(
    `"${text}" is no item id: 1 to ${ID_LENGTH_MAX} characters, beginning with a letter or digit, then also any of . _ ~ : @ + = - Nothing was changed.`,
  );
}
