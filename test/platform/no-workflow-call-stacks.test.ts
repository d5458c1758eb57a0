import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { NODE_OPTIONS } from '../../stack/engine';

const ROOT = join(__dirname, '..', '..');

/** What the SDK's workflow thread does at its start, and what the rest of the process needs of the same hooks. */
const THREAD = `
  const { AsyncLocalStorage } = require('node:async_hooks');
  const { parentPort } = require('node:worker_threads');
  const { globalHandlers } = require('@temporalio/worker/lib/workflow/vm-shared');
  globalHandlers.install(new Map());
  const storage = new AsyncLocalStorage();
  storage.run('kept', async () => {
    await undefined;
    parentPort.postMessage({ recorded: globalHandlers.promiseHookInstalled, store: storage.getStore() });
  });
`;

const PROGRAM = `
  const { Worker } = require('node:worker_threads');
  new Worker(${JSON.stringify(THREAD)}, { eval: true, stderr: true }).once('message', (message) => {
    console.log(JSON.stringify(message));
  });
`;

const start = (options: readonly string[], env: Record<string, string> = {}) =>
  JSON.parse(
    execFileSync(process.execPath, [...options, '-e', PROGRAM], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], ...env },
    }),
  ) as unknown;

test('a workflow thread records no call stacks, and async context still works', () => {
  const expected = { recorded: false, store: 'kept' };
  expect(start(NODE_OPTIONS)).toEqual(expected);
  // As in the image.
  expect(start([], { NODE_OPTIONS: NODE_OPTIONS.join(' ') })).toEqual(expected);
});

test('it would record them otherwise', () => {
  expect(start([])).toEqual({ recorded: true, store: 'kept' });
});
