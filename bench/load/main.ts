import { runClosedLoop } from './closed-loop';
import { runCrowd } from './crowd';
import type { LoadPlan } from './plan';

// The load generator: a process of its own, so that its work is not counted as anybody else's. One plan at a time.
process.on('message', (plan: LoadPlan) => {
  const running = plan.kind === 'crowd' ? runCrowd(plan) : runClosedLoop(plan);
  void running.then((result) => process.send?.(result));
});
// The bench is gone, however it went.
process.on('disconnect', () => process.exit());
