import { WHY_LENGTH_MAX } from '../../engine/dead-letters/operator';
import { UserError } from '../../platform/user-error';

/** The operator's reason. Throws a UserError when there is none, or far too much of it. */
export function reasonGiven(why: string | undefined, by: string): string {
  const text = why?.trim() ?? '';
  if (text === '') {
    throw new UserError(
      `Say why, with --why "<text>": it is recorded together with your name, ${by}. Nothing was changed.`,
    );
  }
  if (text.length > WHY_LENGTH_MAX) {
    throw new UserError(`--why takes at most ${WHY_LENGTH_MAX} characters. Nothing was changed.`);
  }
  return text;
}
