import { runClosedLoop } from './closed-loop';
import { runCrowd } from './crowd';
import { runOpenLoop } from './open-loop';
import type { LoadPlan } from './plan';

// The load generator. Carries out one plan at a time and replies with its result.
process.on('message', (plan: LoadPlan) => {
  void run(plan).then((result) => process.send?.(result));
});
// The bench has ended.
process.on('disconnect', () => process.exit());

function run(plan: LoadPlan): Promise<unknown> {
  switch (plan.kind) {
    case 'closed-loop':
      return runClosedLoop(plan);
    case 'open-loop':
      return runOpenLoop(plan);
    case 'crowd':
      return runCrowd(plan);
  }
}
