import { ID_LENGTH_MAX, isId, type ItemId } from '../../engine/orders/order';
import { UserError } from '../../platform/user-error';

/** The item that was typed. Throws a UserError for what cannot be an id. */
export function itemIdGiven(text: string): ItemId {
  if (isId(text)) return text as ItemId;
  throw new UserError(
    `"${text}" is no item id: 1 to ${ID_LENGTH_MAX} characters, beginning with a letter or digit, then also any of . _ ~ : @ + = - Nothing was changed.`,
  );
}
