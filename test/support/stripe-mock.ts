import { homedir } from 'node:os';
import { join } from 'node:path';
import { findProgram, isExecutable } from '../../platform/machine';
import { createTestComponents } from './secured/test-components';

/** Installs stripe-mock with Go. The tests do not run it: the first compilation takes up to three minutes. */
export const STRIPE_MOCK_INSTALL = 'go install github.com/stripe/stripe-mock@v0.203.0';

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = 5_000;

/** The base URL of a stripe-mock. `stop` stops it if this test started it. */
export interface StripeMock {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/**
 * Returns a function that starts a stripe-mock: the one at STRIPE_MOCK_URL, or a program on PATH or in Go's folders.
 * Undefined if there is none.
 */
export function findStripeMock(env = process.env): (() => Promise<StripeMock>) | undefined {
  const url = env['STRIPE_MOCK_URL'];
  if (url !== undefined) return () => Promise.resolve({ url, stop: () => Promise.resolve() });
  const goFolders = [env['GOBIN'], join(env['GOPATH'] ?? join(homedir(), 'go'), 'bin')];
  const candidates = [
    findProgram('stripe-mock', env),
    ...goFolders.map((folder) => folder && join(folder, 'stripe-mock')),
  ];
  const command = candidates.find((file) => file && isExecutable(file));
  return command === undefined ? undefined : () => start(command);
}

async function start(command: string): Promise<StripeMock> {
  const { context, dataDir, root, stop } = await createTestComponents('stripe-mock');
  const address = `127.0.0.1:${String(context.settings.ports.payment)}`;
  const url = `http://${address}`;
  await context.run({
    name: 'stripe-mock',
    command,
    args: ['-http-addr', address],
    env: process.env,
    cwd: root,
    logFile: join(dataDir, 'stripe-mock.log'),
    // It responds 401 without a key. Any response shows that it is ready.
    probe: () => fetch(url),
    readyMsMax: READY_MS_MAX,
    startTriesMax: 1,
    stopMsMax: STOP_MS_MAX,
  });
  return { url, stop };
}
