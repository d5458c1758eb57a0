import type { Redis } from 'ioredis';
import { allScripts } from '../../engine/stock/scripts';

/** More than the calls between two readings. */
const ENTRIES_MAX = 200_000;

/** Starts to log every call, and forgets the earlier ones. */
export async function logCalls(redis: Redis): Promise<void> {
  await redis.config('SET', 'slowlog-max-len', ENTRIES_MAX);
  await redis.config('SET', 'slowlog-log-slower-than', 0);
  await redis.slowlog('RESET');
}

/** Times of the calls in Redis, in ms, by script or command. */
export type Calls = ReadonlyMap<string, readonly number[]>;

/** Stops that and reads the log, which measures the execution alone: neither the fork of a rewrite nor the sync of the file is in it. */
export async function readCalls(
  redis: Redis,
  scripts: ReadonlyMap<string, string>,
): Promise<Calls> {
  await redis.config('SET', 'slowlog-log-slower-than', -1);
  const entries = (await redis.slowlog('GET', ENTRIES_MAX)) as SlowlogEntry[];
  const calls = new Map<string, number[]>();
  for (const [, , micros, [command = '', sha = '']] of entries) {
    // Valkey also has the commands inside a script, which write them in capitals; the client does not.
    if (command === command.toUpperCase()) continue;
    const name = command === 'evalsha' ? (scripts.get(sha) ?? sha) : command;
    const times = calls.get(name) ?? [];
    calls.set(name, times);
    times.push(micros / 1_000);
  }
  return calls;
}

type SlowlogEntry = readonly [
  id: number,
  at: number,
  micros: number,
  words: readonly string[],
  ...client: unknown[],
];

/** Loads all scripts, so that none is compiled while it is measured. Returns their names by hash. */
export async function loadScripts(redis: Redis): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const [name, lua] of allScripts()) {
    names.set(String(await redis.script('LOAD', lua)), `${name}.lua`);
  }
  return names;
}
