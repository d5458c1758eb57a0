import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { seconds } from '../../stack/ground/report';
import { isAbort } from '../../platform/until';
import { onFreshGround } from './ground/start';
import { parseOptions } from './options';
import type { SuiteResult } from './report/figure';
import { resultText } from './report/text';
import { SUITES } from './suites';
import { UserError, describeError } from '../../platform/user-error';

/** Compiled, this file lies in dist/proof/bench. */
const ROOT = join(__dirname, '..', '..', '..');

/** How a shell counts an end by Ctrl-C. */
const INTERRUPTED = 130;

async function main(words: readonly string[]): Promise<number> {
  const options = parseOptions(words);
  if ('exitCode' in options) return options.exitCode;
  const print = (line: string) => process.stdout.write(`${line}\n`);
  const stopping = new AbortController();
  const stop = () => {
    if (!stopping.signal.aborted) print('\nStopping ...');
    stopping.abort();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'disconnect'] as const) process.on(name, stop);

  const results: Partial<Record<string, SuiteResult>> = {};
  const ground = {
    ...{ root: ROOT, env: process.env, quick: options.quick, signal: stopping.signal },
    against: options.against === undefined ? undefined : resolve(options.against),
    orders: options.orders,
    connections: options.connections,
    profileDir: options.profile === undefined ? undefined : resolve(options.profile),
    report: (line: string) => void print(line),
  };
  try {
    await onFreshGround(ground, async (context) => {
      for (const name of options.suites) {
        const startedAt = Date.now();
        print(`\n${name}: ${SUITES[name].about}`);
        const result = await SUITES[name].run(context);
        results[name] = result;
        print(`\n${resultText(name, result)}${name} took ${seconds(Date.now() - startedAt)}`);
      }
    });
  } catch (error) {
    if (!isAbort(error)) throw error;
    return INTERRUPTED;
  }
  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      JSON.stringify({ machine: machine(), quick: options.quick, results }, null, 2),
    );
  }
  return Object.values(results).some((result) => result && result.violations.length > 0) ? 1 : 0;
}

/** Figures mean nothing without the machine and the day. */
function machine() {
  return {
    date: new Date().toISOString(),
    cpus: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
  };
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(
      `\n${error instanceof UserError ? error.message : describeError(error)}\n`,
    );
    process.exit(1);
  },
);
