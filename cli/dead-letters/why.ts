import { PlainFault } from '../plain-fault';

/** It goes into a record's headers and a workflow's memo, and is read in tables. */
const WHY_LENGTH_MAX = 500;

/** The operator's reason. Throws a PlainFault when there is none, or far too much of it. */
export function reasonGiven(why: string | undefined, by: string): string {
  const text = why?.trim() ?? '';
  if (text === '') {
    throw new PlainFault(
      `Say why, with --why "<text>": it is recorded together with your name, ${by}. Nothing was changed.`,
    );
  }
  if (text.length > WHY_LENGTH_MAX) {
    throw new PlainFault(`--why takes at most ${WHY_LENGTH_MAX} characters. Nothing was changed.`);
  }
  return text;
}
