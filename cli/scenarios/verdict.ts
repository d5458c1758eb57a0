/** What a scenario found. */
export interface Verdict {
  /** The numbers that show what was tried, in a few words. */
  readonly figures: string;
  /** What is not as promised, one sentence each; none: passed. */
  readonly misses: readonly string[];
}

/** "3 orders: a, b, c", cut after a few; nothing when there is none. For naming what is wrong. */
export function named(what: string, names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const rest = names.length - NAMES_MAX;
  const more = rest > 0 ? ` and ${rest} more` : '';
  return [`${names.length} ${what}: ${names.slice(0, NAMES_MAX).join(', ')}${more}`];
}

const NAMES_MAX = 3;

/** One miss unless the two numbers are the same. */
export function same(what: string, actual: number, expected: number): string[] {
  return actual === expected ? [] : [`${what} is ${actual}, not ${expected}`];
}
