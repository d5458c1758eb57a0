import { runClosedLoop } from './closed-loop';
import type { LoadPlan } from './plan';

// The load generator: a process of its own, so that its work is not counted as anybody else's. One plan at a time.
process.on('message', (plan: LoadPlan) => {
  void runClosedLoop(plan).then((result) => process.send?.(result));
});
// The bench is gone, however it went.
process.on('disconnect', () => process.exit());
