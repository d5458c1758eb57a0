import { join } from 'node:path';
import { startChild, type Child } from '../ground/child';
import type { LoadPlan, LoadResult } from './plan';

/** The load generator's process: it carries out one plan at a time. */
export type LoadGenerator = Child<LoadPlan, LoadResult>;

export function startGenerator(): LoadGenerator {
  return startChild(join(__dirname, 'main.js'));
}
