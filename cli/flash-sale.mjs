#!/usr/bin/env node
// Plain JavaScript, so that it can say what is missing before anything has been built.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

if (existsSync(main)) {
  createRequire(import.meta.url)(main);
} else {
  process.stderr.write(
    'flash-sale is not built yet: run "npm start" (the whole local stack) or "npm run build" first.\n',
  );
  process.exitCode = 2;
}
