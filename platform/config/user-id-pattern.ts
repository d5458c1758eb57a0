import { describeError } from '../user-error';
import type { Reader } from './reader';

/** As many characters as an id may have, which are checked before the pattern is. */
const LENGTH_MAX = 128;

/** A wrong id of 128 characters then takes some milliseconds at most. UUIDs match in one way, `[a-z]+` in 128. */
const WAYS_MAX = 100_000;

/** USER_ID_PATTERN, which the whole of a user_id has to match; undefined: every id will do. */
export function readUserIdPattern(read: Reader): RegExp | undefined {
  const text = read.optional('USER_ID_PATTERN');
  if (text === undefined) return undefined;
  try {
    // By itself first: `a)|(b` would become another expression within the parentheses.
    new RegExp(text, 'u');
  } catch (error) {
    read.fail(`USER_ID_PATTERN must be a regular expression: ${describeError(error)}`);
    return undefined;
  }
  if (/\\[1-9k]|\(\?[^:]/.test(text)) {
    read.fail('USER_ID_PATTERN must have no look-around, named group or back reference');
  } else if (waysToMatch(text) > WAYS_MAX) {
    read.fail(
      `USER_ID_PATTERN must not be matched in more than ${WAYS_MAX} ways, with which one request could stop the gateway: bound its repetitions ({1,20}), and repeat no part that has repetitions or alternatives`,
    );
  }
  return new RegExp(`^(?:${text})$`, 'u');
}

/** Bounds the ways in which an expression can match a text, all of which are tried in vain for one that almost matches. */
function waysToMatch(pattern: string): number {
  // Escapes and classes stand for one character each.
  const text = pattern
    .replace(/\\(?:[pPu]\{[^}]*\}|u[\da-f]{4}|x[\da-f]{2}|c?.)/giu, 'x')
    .replace(/\[[^\]]*\]/g, 'x');
  let at = 0;
  const ofAlternatives = (): number => {
    let [sum, product] = [0, 1];
    for (; at < text.length && text[at] !== ')';) {
      const char = text[at++];
      if (char === '|') {
        sum += product;
        product = 1;
        continue;
      }
      let ways = 1;
      if (char === '(') {
        if (text.startsWith('?:', at)) at += 2;
        ways = ofAlternatives();
        at += 1;
      }
      QUANTIFIER.lastIndex = at;
      const [quantifier = '', least, comma, most] = QUANTIFIER.exec(text) ?? [];
      at += quantifier.length;
      product *= ofRepetitions(ways, timesOf(quantifier, least, comma, most));
    }
    return sum + product;
  };
  return ofAlternatives();
}

const QUANTIFIER = /(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/y;

function timesOf(quantifier: string, least?: string, comma?: string, most?: string) {
  if (quantifier === '') return { least: 1, most: 1 };
  if (least === undefined) {
    return {
      least: quantifier.startsWith('+') ? 1 : 0,
      most: quantifier.startsWith('?') ? 1 : LENGTH_MAX,
    };
  }
  const bound = comma === '' ? Number(least) : Number(most || LENGTH_MAX);
  return { least: Number(least), most: Math.min(bound, LENGTH_MAX) };
}

function ofRepetitions(ways: number, { least, most }: { least: number; most: number }): number {
  let sum = 0;
  for (let times = least; times <= most; times++) sum += ways ** times;
  return Math.max(sum, 1);
}
