import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { allowsColour } from '../platform/config/command-line';
import { createContext } from './context';
import { createActions, runCommandLine } from './program';
import type { Terminal } from './terminal';

const { stdout, stderr } = process;

const terminal: Terminal = {
  out: (text) => stdout.write(text),
  stream: (parts) => pipeline(parts, stdout, { end: false }),
  err: (text) => stderr.write(text),
  colour: stdout.isTTY && allowsColour(process.env),
};

// Compiled, this file is in dist/cli.
const root = join(__dirname, '..', '..');
const context = createContext({ terminal, isWatched: stderr.isTTY, env: process.env, root });

// A reader such as `head` closes the pipe when it has seen enough.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 2);
});

void runCommandLine(process.argv.slice(2), createActions(context), terminal).then((code) => {
  process.exitCode = code;
});
