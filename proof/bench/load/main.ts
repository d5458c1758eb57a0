import { runClosedLoop } from './closed-loop';
import { runCrowd } from './crowd';
import { runOpenLoop } from './open-loop';
import type { LoadPlan } from './plan';

// The load generator: a process of its own, so that its work is not counted as anybody else's. One plan at a time.
process.on('message', (plan: LoadPlan) => {
  void run(plan).then((result) => process.send?.(result));
});
// The bench is gone, however it went.
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
