import { join } from 'node:path';
import { startChild } from '../ground/child';
import type {
  ClosedLoopPlan,
  ClosedLoopResult,
  CrowdPlan,
  CrowdResult,
  LoadPlan,
  OpenLoopPlan,
  OpenLoopResult,
} from './plan';

/** The load generator's process: it carries out one plan at a time. */
export interface LoadGenerator {
  readonly closedLoop: (plan: Omit<ClosedLoopPlan, 'kind'>) => Promise<ClosedLoopResult>;
  readonly openLoop: (plan: Omit<OpenLoopPlan, 'kind'>) => Promise<OpenLoopResult>;
  readonly crowd: (plan: Omit<CrowdPlan, 'kind'>) => Promise<CrowdResult>;
  readonly stop: () => void;
}

export function startGenerator(): LoadGenerator {
  const child = startChild<LoadPlan, unknown>(join(__dirname, 'main.js'));
  return {
    closedLoop: async (plan) =>
      (await child.ask({ ...plan, kind: 'closed-loop' })) as ClosedLoopResult,
    openLoop: async (plan) => (await child.ask({ ...plan, kind: 'open-loop' })) as OpenLoopResult,
    crowd: async (plan) => (await child.ask({ ...plan, kind: 'crowd' })) as CrowdResult,
    stop: child.stop,
  };
}
