import type { LoadMessage } from '../children';
import { runClosedLoop } from './closed-loop';
import { runCrowd } from './crowd';
import { runHostile } from './hostile';
import { runOpenLoop } from './open-loop';

// The load generator. Carries out one plan at a time and replies with its result.
process.on('message', (message: LoadMessage) => {
  void run(message).then((result) => process.send?.(result));
});
// The bench has ended.
process.on('disconnect', () => process.exit());

function run({ kind, plan }: LoadMessage): Promise<unknown> {
  switch (kind) {
    case 'closed-loop':
      return runClosedLoop(plan);
    case 'open-loop':
      return runOpenLoop(plan);
    case 'crowd':
      return runCrowd(plan);
    case 'hostile':
      return runHostile(plan);
  }
}
