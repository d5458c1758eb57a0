import calculateSlot from 'cluster-key-slot';
import { Cluster } from 'ioredis';
import type { RedisConnection } from '../../platform/redis';
import type { ClaimCommand, ScriptArgument, ScriptCommand } from './scripts';

/** A command by name. By its first key a Cluster finds the node. */
export type Command =
  | readonly [
      name: 'get' | 'set' | 'exists' | 'hexists' | 'hmget' | 'hgetall' | 'xrange' | ScriptCommand,
      firstKey: string,
      ...args: ScriptArgument[],
    ]
  | readonly [name: ClaimCommand, keys: number, ...keysAndArgs: ScriptArgument[]];

export type Reply = readonly [error: Error | null, result: unknown];

export const NO_REPLY: Reply = [new Error('Redis gave no reply'), null];
export const NO_RESULT = new Error('The script gave no result for this request');

/**
 * Sends the commands in one round trip and returns their replies in the same order. On one Redis they are one pipeline;
 * on a Cluster one for each node that serves some of them, all at the same time. Never rejects: the error of a pipeline
 * is the reply of each of its commands.
 */
export function runCommands(
  redis: RedisConnection,
  commands: readonly Command[],
): Promise<Reply[]> {
  return redis instanceof Cluster ? runOnCluster(redis, commands) : runAsOne(redis, commands);
}

/**
 * A command that was sent to the wrong node was certainly not run, so it is sent again to the right one. The client does
 * this by itself only for a pipeline whose commands all went to the wrong node.
 */
async function runOnCluster(cluster: Cluster, commands: readonly Command[]): Promise<Reply[]> {
  const replies = await runByNode(cluster, commands);
  const wrong = replies.flatMap(([error], at) => (isRedirection(error) ? [at] : []));
  if (wrong.length === 0) return replies;
  await new Promise<void>((resolve) => {
    // When the map cannot be refreshed, the second try fails as the first did, and its error is returned.
    cluster.refreshSlotsCache(() => {
      resolve();
    });
  });
  const again = await runByNode(cluster, pick(commands, wrong));
  wrong.forEach((at, i) => {
    replies[at] = again[i] ?? NO_REPLY;
  });
  return replies;
}

async function runByNode(cluster: Cluster, commands: readonly Command[]): Promise<Reply[]> {
  const groups = groupBy(commands, ([, first, second]) => {
    const firstKey = String(typeof first === 'number' ? second : first);
    // The client refuses a pipeline whose slots it keeps under different numbers; undefined: no node serves the slot.
    return cluster._groupsBySlot[calculateSlot(firstKey)];
  });
  const replies = new Array<Reply>(commands.length).fill(NO_REPLY);
  await Promise.all(
    groups.map(async ({ requests, indexes }) => {
      const found = await runAsOne(cluster, requests);
      indexes.forEach((at, i) => {
        replies[at] = found[i] ?? NO_REPLY;
      });
    }),
  );
  return replies;
}

async function runAsOne(redis: RedisConnection, commands: readonly Command[]): Promise<Reply[]> {
  try {
    return (await redis.pipeline(commands.map((command) => [...command])).exec()) ?? [];
  } catch (error) {
    const cause = error instanceof Error ? error : new Error(String(error));
    return commands.map(() => [cause, null]);
  }
}

function isRedirection(error: Error | null): boolean {
  return error !== null && /^(MOVED|ASK|TRYAGAIN) /.test(error.message);
}

function pick<T>(list: readonly T[], places: readonly number[]): T[] {
  return places.flatMap((at) => list.slice(at, at + 1));
}

/** Requests that one command serves, and the place of each in the list of all. */
export interface Group<K, T> {
  readonly key: K;
  readonly requests: T[];
  readonly indexes: number[];
}

/** Groups in the order in which their keys first occur; within a group, the order of the requests. */
export function groupBy<K, T>(requests: readonly T[], keyOf: (request: T) => K): Group<K, T>[] {
  const groups = new Map<K, Group<K, T>>();
  requests.forEach((request, index) => {
    const key = keyOf(request);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { key, requests: [], indexes: [] }));
    group.requests.push(request);
    group.indexes.push(index);
  });
  return [...groups.values()];
}

/** Reads the reply to each group's command and returns the results in the order of the requests. */
export function resultsOf<R, T>(
  groups: readonly Group<unknown, T>[],
  replies: readonly Reply[],
  read: (reply: unknown, group: Group<unknown, T>) => readonly (R | Error)[],
): (R | Error)[] {
  const results: (R | Error)[] = [];
  groups.forEach((group, at) => {
    const [error, reply] = replies[at] ?? NO_REPLY;
    const found = error ?? read(reply, group);
    group.indexes.forEach((index, i) => {
      const result = found instanceof Error ? found : found[i];
      results[index] = result === undefined ? NO_RESULT : result;
    });
  });
  return results;
}
