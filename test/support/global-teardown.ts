import { rmSync } from 'node:fs';
import type { TestStack } from './global-setup';

/** Stops what the global setup has started, and removes its data. */
export default async function stopComponents(): Promise<void> {
  const { testStack } = globalThis as { testStack?: TestStack };
  if (!testStack) return;
  await testStack.stack.stop();
  rmSync(testStack.dataDir, { recursive: true, force: true });
}
