import type { Suite } from './ground/context';
import { crowd } from './suites/crowd';
import { door } from './suites/door';
import { drain } from './suites/drain';
import { overload } from './suites/limits/overload';
import { scale } from './suites/limits/scale';
import { duplicate, invalid, soldOut } from './suites/rejections';

/** Every suite by the name that --suite takes, in the order in which they run. */
export const SUITES = {
  door,
  'sold-out': soldOut,
  duplicate,
  invalid,
  drain,
  crowd,
  overload,
  scale,
} as const satisfies Readonly<Record<string, Suite>>;

export type SuiteName = keyof typeof SUITES;
